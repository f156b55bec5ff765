//! What reading did.

use std::ops::AddAssign;

/// Blocks of simple TIFFs that were decoded, and what that was good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Blocks decoded.
    pub decoded_blocks: u64,
    /// Their bytes, decoded.
    pub decoded_bytes: u64,
    /// Nanoseconds of core time that decoding them took, without reading them.
    pub decoding: u64,
    /// Those of them that another thread was decoding or had decoded, and that were not there when needed.
    pub decoded_twice: u64,
    /// Those of them that nobody had asked for yet, decoded while another thread was decoding what was asked for.
    pub decoded_ahead: u64,
    /// Times that a block was found decoded.
    pub reused_blocks: u64,
    /// Nanoseconds that threads waited for bytes on their way.
    pub waiting: u64,
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.decoded_blocks += other.decoded_blocks;
        self.decoded_bytes += other.decoded_bytes;
        self.decoding += other.decoding;
        self.decoded_twice += other.decoded_twice;
        self.decoded_ahead += other.decoded_ahead;
        self.reused_blocks += other.reused_blocks;
        self.waiting += other.waiting;
    }
}
