//! Formulas.

use std::path::Path;

use fieldglow_kernels::expression::{Function, Input, Operand, Out, Scratch, evaluate};
use fieldglow_kernels::linear::Linear;

use crate::product::formula::Formula;

/// Planes of the names `a`, `b` and `c`, one sample each.
const VALUES: [f32; 3] = [0.3, 0.07, 2.0];

fn resolve(name: &str) -> Option<Operand> {
    match name {
        "a" => Some(Operand::Input(0)),
        "b" => Some(Operand::Input(1)),
        "c" => Some(Operand::Input(2)),
        "L" => Some(Operand::Constant(0.5)),
        _ => None,
    }
}

/// Formulas: what was read, written with all its brackets, is read the same; it can be computed, and a value is one of the
/// steps written out.
pub fn formula(_: &Path, data: &[u8]) -> bool {
    let Ok(found) = Formula::parse(&String::from_utf8_lossy(data), &resolve) else { return false };
    let mut out = [0.0];
    let inputs = VALUES.each_ref().map(|v| Input { samples: std::slice::from_ref(v), linear: Linear::IDENTITY });
    let outs = &mut [Out::Doubles(&mut out)];
    evaluate((&found.steps, &[found.outcome()]), &inputs, &mut Scratch::default(), outs, &mut [0]);
    assert!(out[0].is_finite() || out[0].is_nan(), "{out:?}");
    let Some((text, depth)) = written(&found) else { return false };
    if text.len() > 4096 || depth > 30 {
        return false;
    }
    let again = Formula::parse(&text, &resolve);
    assert!(again.as_ref().is_ok_and(|again| *again == found), "{text}\n{found:?}\n{again:?}");
    true
}

/// The steps as one text, and how deep its brackets are; `None` with constants that are no finite numbers, or when it is
/// long.
fn written(formula: &Formula) -> Option<(String, usize)> {
    let mut registers: Vec<(String, usize)> = vec![Default::default(); 64];
    let text = |registers: &[(String, usize)], operand: Operand| match operand {
        Operand::Input(at) => ["a", "b", "c"].get(at).map(|name| ((*name).to_string(), 0)),
        Operand::Register(at) => registers.get(at).cloned(),
        Operand::Constant(value) => value.is_finite().then(|| (format!("({value:?})"), 1)),
    };
    for step in &formula.steps {
        let (a, b) = (text(&registers, step.a)?, text(&registers, step.b)?);
        let sign = match step.function {
            Function::Add => "+",
            Function::Sub => "-",
            Function::Mul => "*",
            Function::Div => "/",
            Function::Pow => "**",
        };
        let whole = format!("({}{sign}{})", a.0, b.0);
        if whole.len() > 1 << 16 {
            return None;
        }
        *registers.get_mut(step.to)? = (whole, 2 + a.1.max(b.1));
    }
    text(&registers, formula.result)
}
