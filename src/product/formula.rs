//! Formulas as people write them, turned into steps.
//!
//! Grammar, as in the awesome-spectral-indices catalogue: numbers, names, `+ − * / **`, brackets. `**` binds tightest and
//! to the right, a sign binds looser than `**`. Nothing else: no calls, no assignments.

use fieldglow_kernels::expression::{Function, Operand, Outcome, Step};

/// A formula ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Where the value is after the last step.
    pub result: Operand,
}

/// Most intermediate values a formula keeps at a time.
pub(super) const MAX_REGISTERS: usize = 16;

/// Longest formula, bytes; deepest nesting.
const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: usize = 64;

impl Formula {
    /// Reads a formula. `resolve` says what a name stands for: an input plane or a constant.
    ///
    /// # Errors
    /// What is wrong and where, for people.
    pub fn parse(text: &str, resolve: &dyn Fn(&str) -> Option<Operand>) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("the formula has {} bytes, more than the limit of {MAX_LENGTH}", text.len()));
        }
        let mut parser = Parser { text, at: 0, depth: 0, steps: Vec::new(), used: 0, resolve };
        let result = parser.sum()?;
        match parser.peek() {
            None => Ok(Self { steps: parser.steps, result }),
            Some(c) => Err(format!("`{c}` at {} is unexpected", parser.at)),
        }
    }

    /// Its value, as an outcome of its steps.
    pub fn outcome(&self) -> Outcome {
        Outcome { after: self.steps.len(), value: self.result }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    steps: Vec<Step>,
    /// Registers in use: they are taken and given back like a stack.
    used: usize,
    resolve: &'a dyn Fn(&str) -> Option<Operand>,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek().is_some() && self.text[self.at..].starts_with(token);
        // `*` is not the first half of `**`.
        let found = found && !(token == "*" && self.text[self.at..].starts_with("**"));
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn sum(&mut self) -> Result<Operand, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("brackets are nested deeper than {MAX_DEPTH}"));
        }
        let mut left = self.product()?;
        loop {
            let function = match () {
                () if self.take("+") => Function::Add,
                () if self.take("-") => Function::Sub,
                () => break,
            };
            let right = self.product()?;
            left = self.emit(function, left, right)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Operand, String> {
        let mut left = self.signed()?;
        loop {
            let function = match () {
                () if self.take("*") => Function::Mul,
                () if self.take("/") => Function::Div,
                () => return Ok(left),
            };
            let right = self.signed()?;
            left = self.emit(function, left, right)?;
        }
    }

    fn signed(&mut self) -> Result<Operand, String> {
        let mut negative = false;
        loop {
            match () {
                () if self.take("-") => negative = !negative,
                () if self.take("+") => {}
                () => break,
            }
        }
        let value = self.power()?;
        if negative { self.emit(Function::Mul, Operand::Constant(-1.0), value) } else { Ok(value) }
    }

    fn power(&mut self) -> Result<Operand, String> {
        let base = self.atom()?;
        if !self.take("**") {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("powers are nested deeper than {MAX_DEPTH}"));
        }
        let exponent = self.signed()?;
        self.depth -= 1;
        self.emit(Function::Pow, base, exponent)
    }

    fn atom(&mut self) -> Result<Operand, String> {
        if self.take("(") {
            let value = self.sum()?;
            return if self.take(")") { Ok(value) } else { Err(format!("a `)` is missing at {}", self.at)) };
        }
        let Some(first) = self.peek() else { return Err("it ends too soon".into()) };
        let rest = &self.text[self.at..];
        let end = if first.is_ascii_digit() || first == '.' {
            number_end(rest)
        } else {
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())
        };
        let word = &rest[..end];
        if word.is_empty() {
            return Err(format!("`{first}` at {} is unexpected", self.at));
        }
        let value = if first.is_ascii_digit() || first == '.' {
            word.parse().ok().filter(|v: &f64| v.is_finite()).map(Operand::Constant)
        } else {
            (self.resolve)(word)
        };
        self.at += end;
        value.ok_or_else(|| format!("`{word}` is neither a band nor a constant"))
    }

    /// Adds a step, or computes it at once when both operands are constants.
    fn emit(&mut self, function: Function, a: Operand, b: Operand) -> Result<Operand, String> {
        if let (Operand::Constant(a), Operand::Constant(b)) = (a, b) {
            return Ok(Operand::Constant(match function {
                Function::Add => a + b,
                Function::Sub => a - b,
                Function::Mul => a * b,
                Function::Div => a / b,
                Function::Pow => a.powf(b),
            }));
        }
        // Operands that are registers are the topmost ones, and are free once they are read.
        self.used -= [a, b].iter().filter(|o| matches!(o, Operand::Register(_))).count();
        let to = self.used;
        self.used += 1;
        if self.used > MAX_REGISTERS {
            return Err(format!("it keeps more than {MAX_REGISTERS} intermediate values"));
        }
        self.steps.push(Step { function, a, b, to });
        Ok(Operand::Register(to))
    }
}

/// Bytes of the number a text starts with: digits, a point, an exponent.
fn number_end(text: &str) -> usize {
    let digits = |s: &str| s.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(s.len());
    let mantissa = digits(text);
    let rest = &text[mantissa..];
    let Some(after) = rest.strip_prefix(['e', 'E']) else { return mantissa };
    let sign = usize::from(after.starts_with(['+', '-']));
    match digits(&after[sign..]) {
        0 => mantissa,
        n => mantissa + 1 + sign + n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fieldglow_kernels::expression::{Input, Out, Scratch, evaluate};
    use fieldglow_kernels::linear::Linear;

    fn value(text: &str) -> Result<f64, String> {
        let names = |n: &str| match n {
            "x" => Some(Operand::Input(0)),
            "y" => Some(Operand::Input(1)),
            "half" => Some(Operand::Constant(0.5)),
            _ => None,
        };
        let f = Formula::parse(text, &names)?;
        let mut out = [0.0];
        let inputs = [&[3.0], &[2.0]].map(|samples| Input { samples, linear: Linear::IDENTITY });
        let outs = &mut [Out::Doubles(&mut out)];
        evaluate((&f.steps, &[f.outcome()]), &inputs, &mut Scratch::default(), outs, &mut [0]);
        Ok(out[0])
    }

    #[test]
    fn precedence_is_that_of_python() {
        for (text, want) in [
            ("1 + 2 * 3", 7.0),
            ("-x ** 2", -9.0),
            ("2 ** -1", 0.5),
            ("2 ** 3 ** 2", 512.0),
            ("x - y - 1", 0.0),
            ("x / y / 2", 0.75),
            ("(x - y) / (x + y)", 0.2),
            ("- 0.5 * (190 * (x - y) - 120 * (x - 1))", 25.0),
            ("x ** (1/2) * half", 0.866_025_403_784),
            ("1e1 + .5", 10.5),
            ("x*(y+(x*(y+(x*(y+1)))))", 105.0),
        ] {
            assert!((value(text).unwrap() - want).abs() < 1e-12, "{text}: {:?}", value(text));
        }
    }

    #[test]
    fn what_is_no_formula_is_refused_with_the_place() {
        for text in [
            "",
            "x +",
            "(x",
            "x)",
            "x y",
            "z + 1",
            "open('f')",
            "x; y",
            "1..2",
            "x $ y",
            "é",
            &"(".repeat(100),
            &"9".repeat(5000),
        ] {
            assert!(value(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in ".{0,60}") {
            let _ = value(&text);
        }

        #[test]
        fn no_mix_of_tokens_breaks_the_parser(tokens in proptest::collection::vec(proptest::sample::select(vec!["x", "y", "(", ")", "+", "-", "*", "/", "**", "1", "0.5"]), 0..40)) {
            let _ = value(&tokens.join(" "));
        }
    }
}
