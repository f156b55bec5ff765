//! The spectral indices of a layer as one list of steps: what several have in common is computed once, and so is the scaling
//! of the bands they read.
//!
//! Invariant: an index has the same bits whatever others are computed beside it.

use fieldglow_kernels::expression::{Function, Operand, Outcome, Step};

use super::formula::MAX_REGISTERS;
use super::{Product, Program};
use crate::scene::Role;

/// Indices that are computed together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Together {
    /// The bands they read: the input planes of the steps.
    pub roles: Vec<Role>,
    /// Steps of all of them.
    pub steps: Vec<Step>,
    /// Their values, in the order of the products.
    pub outcomes: Vec<Outcome>,
}

/// A value that is computed: of inputs, constants and, as registers, of other values by their number.
type Value = (Function, Operand, Operand);

impl Together {
    /// The indices among some products.
    pub fn of(products: &[Product]) -> Self {
        let mut roles = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        let mut outcomes = Vec::new();
        for product in products {
            let Program::Index(row) = &product.program else { continue };
            let bands: Vec<usize> = row.bands.iter().map(|role| number(&mut roles, role, |r| r == role)).collect();
            let mut registers = [0; MAX_REGISTERS];
            let of = |operand, registers: &[usize; MAX_REGISTERS]| match operand {
                Operand::Input(k) => Operand::Input(bands[k]),
                Operand::Register(k) => Operand::Register(registers[k]),
                Operand::Constant(c) => Operand::Constant(c),
            };
            let mut value = Operand::Constant(f64::NAN);
            if let Some(formula) = row.program() {
                for step in &formula.steps {
                    let (f, a, b) = (step.function, of(step.a, &registers), of(step.b, &registers));
                    let turns = matches!(f, Function::Add | Function::Mul);
                    let is_same = |v: &Value| *v == (f, a, b) || turns && *v == (f, b, a);
                    registers[step.to] = number(&mut values, &(f, a, b), is_same);
                }
                value = of(formula.result, &registers);
            }
            outcomes.push(Outcome { after: values.len(), value });
        }
        let (steps, outcomes) = in_registers(&values, outcomes);
        Self { roles, steps, outcomes }
    }
}

/// Position of the one that `is_same`, which is put to the end if there is none.
fn number<T: Copy>(all: &mut Vec<T>, one: &T, is_same: impl Fn(&T) -> bool) -> usize {
    all.iter().position(is_same).unwrap_or_else(|| {
        all.push(*one);
        all.len() - 1
    })
}

/// Values as steps: each takes a register from the step that computes it to the last one that reads it.
fn in_registers(values: &[Value], mut outcomes: Vec<Outcome>) -> (Vec<Step>, Vec<Outcome>) {
    let mut last_read = vec![0; values.len()];
    let mut read = |operand, at: usize| {
        if let Operand::Register(value) = operand {
            last_read[value] = at.max(last_read[value]);
        }
    };
    for (at, (_, a, b)) in values.iter().enumerate() {
        read(*a, at);
        read(*b, at);
    }
    // What is there after so many steps is written down before the next one.
    outcomes.iter().for_each(|outcome| read(outcome.value, outcome.after));
    let mut holds: Vec<Option<usize>> = Vec::new();
    let mut register = vec![0; values.len()];
    let placed = |operand, register: &[usize]| match operand {
        Operand::Register(value) => Operand::Register(register[value]),
        other => other,
    };
    let mut steps = Vec::new();
    for (at, (function, a, b)) in values.iter().enumerate() {
        let (a, b) = (placed(*a, &register), placed(*b, &register));
        let is_free = |holds: &Option<usize>| holds.is_none_or(|value| last_read[value] <= at);
        let to = number(&mut holds, &None, is_free);
        holds[to] = Some(at);
        register[at] = to;
        steps.push(Step { function: *function, a, b, to });
    }
    outcomes.iter_mut().for_each(|outcome| outcome.value = placed(outcome.value, &register));
    (steps, outcomes)
}

#[cfg(test)]
mod tests {
    use fieldglow_kernels::expression::{Input, Out, Scratch, evaluate};
    use fieldglow_kernels::linear::Linear;

    use super::super::{Encoding, indices};
    use super::*;

    fn products(keys: &[&str]) -> Vec<Product> {
        let product = |key: &&str| Product {
            name: (*key).into(),
            program: Program::Index(indices::find(key).unwrap()),
            encoding: Encoding::F32,
        };
        keys.iter().map(product).collect()
    }

    /// Values of all indices, (index, pixel).
    fn values(together: &Together, pixels: usize) -> Vec<Vec<f64>> {
        let plane = |role: &Role| -> Vec<f32> {
            (0..pixels).map(|i| ((i * (7 + *role as usize)) % 101) as f32 / 97.0 - 0.02).collect()
        };
        let planes: Vec<Vec<f32>> = together.roles.iter().map(plane).collect();
        let linear = Linear { gain: 0.9, bias: 0.01 };
        let inputs: Vec<_> = planes.iter().map(|samples| Input { samples, linear }).collect();
        let mut all = vec![vec![0.0; pixels]; together.outcomes.len()];
        let mut outs: Vec<_> = all.iter_mut().map(|v| Out::Doubles(v)).collect();
        let steps = (&together.steps[..], &together.outcomes[..]);
        evaluate(steps, &inputs, &mut Scratch::default(), &mut outs, &mut vec![0; pixels]);
        all
    }

    #[test]
    fn what_is_common_is_computed_once() {
        let all = Together::of(&products(&["NDVI", "EVI", "SAVI", "NDWI", "GNDVI"]));
        let alone: usize =
            ["NDVI", "EVI", "SAVI", "NDWI", "GNDVI"].iter().map(|k| Together::of(&products(&[k])).steps.len()).sum();
        // The difference and the sum of N and R, and the sum of N and G.
        assert_eq!(all.steps.len() + 4, alone, "{all:?}");
        assert_eq!(all.roles.len(), 4);
        let registers = all.steps.iter().map(|s| s.to + 1).max();
        assert!(registers <= Some(5), "{all:?}");
    }

    #[test]
    fn an_index_is_the_same_alone_and_beside_all_others() {
        let keys = indices::keys();
        for order in [keys.clone(), keys.iter().rev().copied().collect()] {
            let together = values(&Together::of(&products(&order)), 150);
            for (key, together) in order.iter().zip(together) {
                let alone = &values(&Together::of(&products(&[key])), 150)[0];
                assert!(alone.iter().any(|v| v.is_finite()), "{key}");
                let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&together), bits(alone), "{key}");
            }
        }
    }
}
