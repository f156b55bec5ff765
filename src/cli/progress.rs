//! Progress for people: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fieldglow::engine::report::{Outcome, Progress, SceneOutcome};
use fieldglow::scene::Warning;
use fieldglow::units::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// Bars on a terminal, plain lines elsewhere.
    Auto,
    /// Bars.
    Bar,
    /// A line now and then.
    Plain,
    /// A JSON object per line.
    Json,
    /// Nothing.
    Off,
}

/// Shows the progress of a run on standard error.
pub struct Display {
    style: Style,
    scenes: usize,
    state: Mutex<State>,
    bar: ProgressBar,
}

struct State {
    scene: usize,
    name: String,
    total: u64,
    done: u64,
    started: Instant,
    said: Instant,
}

/// Plain lines come no closer than this.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

impl Display {
    /// For a run over this many scenes.
    pub fn new(style: Style, scenes: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match style {
            Style::Auto if terminal => Style::Bar,
            Style::Auto => Style::Plain,
            other => other,
        };
        let target = if style == Style::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let now = Instant::now();
        let state = State { scene: 0, name: String::new(), total: 0, done: 0, started: now, said: now };
        Self { style, scenes, state: Mutex::new(state), bar: ProgressBar::with_draw_target(None, target) }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        match self.style {
            Style::Bar => self.bar.suspend(|| eprintln!("{line}")),
            Style::Plain => eprintln!("{line}"),
            _ => {}
        }
    }

    fn json(&self, value: &serde_json::Value) {
        if self.style == Style::Json {
            eprintln!("{value}");
        }
    }
}

impl Progress for Display {
    fn scene_started(&self, scene: &str, cells: usize, pixels: u64) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *s = State { scene: s.scene + 1, name: scene.to_owned(), total: pixels, done: 0, started: now, said: now };
        let line =
            format!("[{}/{}] {scene}: {cells} cells, {:.1} megapixels", s.scene, self.scenes, pixels as f64 / 1e6);
        drop(s);
        self.say(&line);
        self.json(&serde_json::json!({ "event": "scene-started", "scene": scene, "cells": cells, "pixels": pixels }));
        self.bar.set_length(pixels.div_ceil(1_000_000));
        self.bar.reset();
        let template = "{bar:30} {percent:>3} % {pos}/{len} Mpx, {per_sec}, {eta} left";
        self.bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    }

    fn pixels_done(&self, pixels: u64) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.done += pixels;
        self.bar.set_position(s.done / 1_000_000);
        let elapsed = s.started.elapsed().as_secs_f64();
        if s.said.elapsed() < PLAIN_EVERY || elapsed <= 0.0 {
            return;
        }
        s.said = Instant::now();
        let rate = s.done as f64 / elapsed;
        let left = s.total.saturating_sub(s.done) as f64 / rate.max(1.0);
        let line = format!(
            "[{}/{}] {}: {:.0} %, {:.1} megapixels/s, {left:.0} s left",
            s.scene,
            self.scenes,
            s.name,
            100.0 * s.done as f64 / s.total.max(1) as f64,
            rate / 1e6,
        );
        self.json(&serde_json::json!({
            "event": "progress", "scene": s.name, "pixels_done": s.done, "pixels": s.total, "pixels_per_second": rate, "seconds_left": left,
        }));
        drop(s);
        if self.style == Style::Plain {
            self.say(&line);
        }
    }

    fn cell_done(&self, cell: &str) {
        self.json(&serde_json::json!({ "event": "cell-done", "cell": cell }));
    }

    fn warning(&self, scene: &str, warning: &Warning) {
        self.say(&format!("warning: {scene}: {} [{}]", warning.message, warning.code));
        self.json(&serde_json::json!({ "event": "warning", "scene": scene, "code": warning.code, "message": warning.message }));
    }

    fn scene_done(&self, scene: &SceneOutcome) {
        let line = match (&scene.outcome, &scene.error) {
            (Outcome::Done, _) => format!(
                "done: {}: {} cells written ({}), {} already there, {} empty, {:.1} s",
                scene.scene,
                scene.cells_written.len(),
                Bytes(scene.bytes_written),
                scene.cells_unchanged,
                scene.cells_empty,
                scene.seconds,
            ),
            (Outcome::Failed, _) => format!("failed: {}", scene.scene),
        };
        self.say(&line);
        self.json(&serde_json::json!({ "event": "scene-done", "scene": scene }));
    }
}
