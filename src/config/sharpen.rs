//! What a `[[product]]` of kind `pansharpen` may say.

use super::{Kind, Mistake, Mode, Product};
use crate::product::sharpen::Method;
use crate::scene::Role;

/// Modulation at the Nyquist frequency that is still a detector's: below, the filter would reach further than the engine
/// does, above, there is nothing to filter.
const GAINS: (f64, f64) = (0.05, 0.9);

impl Product {
    pub(super) fn check_sharpening(&self, mode: Option<Mode>, found: &mut Vec<Mistake>) {
        let at = |key: &str| format!("product.{}.{key}", self.name);
        let mut say = |key: &str, problem: String| found.push(Mistake::new(at(key), problem));
        if self.kind != Kind::Pansharpen {
            let keys = [
                ("method", self.method.is_some()),
                ("fit", self.fit.is_some()),
                ("mtf_gain", !self.mtf_gain.is_empty()),
                ("weights", !self.weights.is_empty()),
            ];
            for (key, _) in keys.iter().filter(|(_, given)| *given) {
                say(key, "only products of kind `pansharpen` have it; remove it".into());
            }
            return;
        }
        if self.bands.contains(&Role::Pan) {
            say("bands", "PAN is what they are sharpened with; name the bands to sharpen".into());
        }
        if mode == Some(Mode::Native) {
            say("kind", "in mode `native` PAN and the bands have pixels of their own; take mode `grid`".into());
        }
        let brovey = self.method == Some(Method::Brovey);
        if brovey && self.fit.is_some() {
            say("fit", "`brovey` compares PAN with a sum of bands and fits nothing else; remove it".into());
        }
        for (role, gain) in &self.mtf_gain {
            let key = format!("mtf_gain.{role}");
            if *role == Role::Pan {
                if !(GAINS.0..=1.0).contains(gain) {
                    say(&key, format!("expected {} to 1, found {gain}", GAINS.0));
                }
            } else if !self.bands.contains(role) {
                say(&key, format!("{role} is none of the product's bands"));
            } else if !(GAINS.0..=GAINS.1).contains(gain) {
                say(&key, format!("expected {} to {}, found {gain}", GAINS.0, GAINS.1));
            }
        }
        if self.weights.is_empty() {
            return;
        }
        if !brovey {
            say("weights", "only method `brovey` weighs bands; remove it".into());
        }
        if !self.mtf_gain.is_empty() {
            say("mtf_gain", "with `weights` given nothing is low-passed; remove one of them".into());
        }
        for (role, weight) in &self.weights {
            if !self.bands.contains(role) {
                say(&format!("weights.{role}"), format!("{role} is none of the product's bands"));
            } else if !weight.is_finite() || *weight < 0.0 {
                say(&format!("weights.{role}"), format!("expected 0 or more, found {weight}"));
            }
        }
        if let Some(missing) = self.bands.iter().find(|b| !self.weights.contains_key(b)) {
            say("weights", format!("{missing} is missing; give every band a weight, or none"));
        } else if self.weights.values().sum::<f64>() <= 0.0 {
            say("weights", "their sum is 0; PAN sees at least one band".into());
        }
    }
}
