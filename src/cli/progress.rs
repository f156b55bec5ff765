//! Progress for people: bars on a terminal, plain lines elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fieldglow::engine::report::{Outcome, Progress, SceneOutcome};
use fieldglow::scene::Warning;
use fieldglow::units::Bytes;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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
    state: Mutex<State>,
    bars: MultiProgress,
    /// Pixels of the scene.
    bar: ProgressBar,
    /// Scenes of the run, where there are several.
    total: ProgressBar,
}

struct State {
    scenes: usize,
    /// Scenes that were started.
    scene: usize,
    /// Scenes that ended, some of them before they could start.
    ended: usize,
    name: String,
    total: u64,
    done: u64,
    started: Instant,
    said: Instant,
}

/// Plain lines come no closer than this.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Steps of the bar of all scenes for each of them: it moves within scenes too, and so knows early what is left.
const STEPS: u64 = 1000;

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let mega = |v: f64| format!("{:.0}", v / 1e6);
    style
        .with_key("done", move |s: &ProgressState, w: &mut dyn Write| _ = w.write_str(&mega(s.pos() as f64)))
        .with_key("all", move |s: &ProgressState, w: &mut dyn Write| {
            _ = w.write_str(&mega(s.len().unwrap_or(0) as f64))
        })
        .with_key("rate", move |s: &ProgressState, w: &mut dyn Write| _ = w.write_str(&mega(s.per_sec())))
}

impl Display {
    /// For one run.
    pub fn new(style: Style) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match style {
            Style::Auto if terminal => Style::Bar,
            Style::Auto => Style::Plain,
            other => other,
        };
        let target = if style == Style::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let now = Instant::now();
        let state =
            State { scenes: 0, scene: 0, ended: 0, name: String::new(), total: 0, done: 0, started: now, said: now };
        let bars = MultiProgress::with_draw_target(target);
        let (bar, total) = (bars.add(ProgressBar::no_length()), ProgressBar::no_length());
        Self { style, state: Mutex::new(state), bars, bar, total }
    }

    /// Removes the bars.
    pub fn finish(&self) {
        self.total.finish_and_clear();
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        match self.style {
            Style::Bar => self.bars.suspend(|| eprintln!("{line}")),
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
    fn run_started(&self, scenes: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).scenes = scenes;
        tracing::info!(scenes, "run started");
        self.json(&serde_json::json!({ "event": "run-started", "scenes": scenes }));
        if self.style == Style::Bar && scenes > 1 {
            let total = self.bars.add(self.total.clone());
            total.set_length(scenes as u64 * STEPS);
            total.set_style(style("{bar:30} {percent:>3} % {msg}, {elapsed} so far, {eta} left"));
            total.set_message(format!("0 of {scenes} scenes"));
            total.enable_steady_tick(Duration::from_secs(1));
        }
    }

    fn scene_started(&self, scene: &str, cells: usize, pixels: u64) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *s = State {
            scenes: s.scenes,
            scene: s.ended + 1,
            ended: s.ended,
            name: scene.to_owned(),
            total: pixels,
            done: 0,
            started: now,
            said: now,
        };
        let line = format!("[{}/{}] {scene}: {cells} cells, {:.1} megapixels", s.scene, s.scenes, pixels as f64 / 1e6);
        drop(s);
        self.say(&line);
        self.json(&serde_json::json!({ "event": "scene-started", "scene": scene, "cells": cells, "pixels": pixels }));
        self.bar.set_length(pixels);
        self.bar.reset();
        self.bar.set_style(style("{bar:30} {percent:>3} % {done} of {all} Mpx, {rate} Mpx/s, {eta} left"));
        tracing::info!(scene, cells, pixels, "scene started");
    }

    fn pixels_done(&self, pixels: u64) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.done += pixels;
        self.bar.set_position(s.done);
        let step = s.done * STEPS / s.total.max(1);
        self.total.set_position((s.scene.max(1) - 1) as u64 * STEPS + step.min(STEPS));
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
            s.scenes,
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
        tracing::info!(cell, "cell done");
        self.json(&serde_json::json!({ "event": "cell-done", "cell": cell }));
    }

    fn warning(&self, scene: &str, warning: &Warning) {
        tracing::warn!(scene, code = warning.code.text(), "{}", warning.message);
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
        match &scene.error {
            Some(e) => tracing::error!(scene = scene.scene, class = ?e.class, "{}", e.message),
            None => tracing::info!(
                scene = scene.scene,
                cells = scene.cells_written.len(),
                bytes = scene.bytes_written,
                seconds = scene.seconds,
                "scene done"
            ),
        }
        self.say(&line);
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.ended += 1;
        self.total.set_position(s.ended as u64 * STEPS);
        self.total.set_message(format!("{} of {} scenes", s.ended, s.scenes));
        drop(s);
        self.json(&serde_json::json!({ "event": "scene-done", "scene": scene }));
    }
}
