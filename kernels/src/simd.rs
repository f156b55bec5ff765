//! Loops compiled for what the machine can do.

use pulp::{Arch, NullaryFnOnce};

/// Runs `body`, compiled once for each level of vector instructions, at the best level of the machine.
///
/// The closure has to be `#[inline(always)]`: what is not inlined here is compiled for the lowest level. That is also why
/// it is asked to be `FnMut`: calling such a closure as `FnOnce` goes through a function of its own, which is not inlined.
#[inline(always)]
pub fn vectorized(body: impl FnMut()) {
    struct Body<F>(F);
    impl<F: FnMut()> NullaryFnOnce for Body<F> {
        type Output = ();
        #[inline(always)]
        fn call(mut self) {
            (self.0)();
        }
    }
    Arch::new().dispatch(Body(body));
}
