//! The one error type that crosses module borders.
//!
//! Each module has its own detailed error enum and says, with [`Classify`], whose fault each variant is. Here they fold
//! into [`Error`], which adds where it happened ([`Context`]) and is what callers decide on: retry, skip the scene, or
//! end the run. A message says what was being done to what, and what to do about it; it never repeats its source.

use std::fmt::{self, Write};

/// Whose fault an error is, and so what a caller may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The pipeline file or the command line: ends the run before the first scene.
    Config,
    /// The delivery or a side file is wrong: fails its scene.
    Input,
    /// Legal, but not something this version does: fails its scene.
    Unsupported,
    /// A finite limit was exceeded: fails its scene.
    Limit,
    /// A passing storage fault: worth another try.
    Transient,
    /// A lasting storage fault: fails its scene.
    Storage,
    /// A broken invariant of our own: ends the run.
    Bug,
    /// Somebody asked for the end before it came: ends the run.
    Interrupted,
}

/// Implemented by each module's error enum: the class of every variant.
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// Whose fault this error is.
    fn class(&self) -> Class;
}

/// Where an error happened: filled in from the inside out, each level adding what it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Context {
    /// Id of the scene.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scene: Option<String>,
    /// Name of the stage, as the folders of the source tree are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    /// Cell of the output grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Band by role or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// Pixel window, `columns×rows+column+row`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut write = |name: &str, value: Option<&str>| match value {
            Some(v) => write!(f, "{name} {v}: "),
            None => Ok(()),
        };
        write("scene", self.scene.as_deref())?;
        write("stage", self.stage)?;
        write("cell", self.cell.as_deref())?;
        write("band", self.band.as_deref())?;
        write("window", self.window.as_deref())
    }
}

/// An error with its class and the place it happened.
#[derive(Debug)]
pub struct Error {
    class: Class,
    code: String,
    context: Box<Context>,
    detail: Box<dyn std::error::Error + Send + Sync>,
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Which error it is, for machines: module and variant, such as `scene/truncated`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Where it happened.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// An internal fault: `what` names the invariant that does not hold.
    pub fn bug(what: impl Into<String>) -> Self {
        Bug(what.into()).into()
    }

    /// Lets `fill` add what the caller knows about the place; what is already known stays.
    #[must_use]
    pub fn within(mut self, fill: impl FnOnce(&mut Context)) -> Self {
        let inner = std::mem::take(&mut *self.context);
        fill(&mut self.context);
        let outer = &mut *self.context;
        if inner.scene.is_some() {
            outer.scene = inner.scene;
        }
        if inner.stage.is_some() {
            outer.stage = inner.stage;
        }
        if inner.cell.is_some() {
            outer.cell = inner.cell;
        }
        if inner.band.is_some() {
            outer.band = inner.band;
        }
        if inner.window.is_some() {
            outer.window = inner.window;
        }
        self
    }

    /// The detailed error of the module it came from, if it is a `T`.
    pub fn detail<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.detail.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.context, self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.detail.source()
    }
}

impl<E: Classify> From<E> for Error {
    fn from(e: E) -> Self {
        Self { class: e.class(), code: code(&e), context: Box::default(), detail: Box::new(e) }
    }
}

/// Module and variant of an error, `scene/truncated`. Both are read off the type, so that every variant has a code from
/// the day it is written; `docs/codes.md` lists them all, and its check notices when one is renamed.
fn code<E: Classify>(error: &E) -> String {
    let module = std::any::type_name::<E>().split("::").nth(1).unwrap_or_default();
    let mut variant = Variant(String::new());
    // Ends with an error as soon as the name is known: the fields do not matter.
    let _ = write!(variant, "{error:?}");
    format!("{module}/{}", kebab(&variant.0))
}

/// Takes the name that the debug text of a variant starts with.
struct Variant(String);

impl Write for Variant {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        self.0.push_str(&text[..end]);
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// `SunBelowHorizon` as `sun-below-horizon`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// A broken invariant of our own.
#[derive(Debug, thiserror::Error)]
#[error("internal fault: {0}; please report it with the command and the scene")]
struct Bug(String);

impl Classify for Bug {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// Adds context to the error of a `Result`.
pub trait ResultExt<T> {
    /// Folds the error into [`Error`] and lets `fill` add where it happened.
    ///
    /// # Errors
    /// The same error, with more context.
    fn within(self, fill: impl FnOnce(&mut Context)) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn within(self, fill: impl FnOnce(&mut Context)) -> Result<T> {
        self.map_err(|e| e.into().within(fill))
    }
}

/// The whole chain of an error in one line: the error, then each of its sources after a colon.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        text.push_str(": ");
        text.push_str(&e.to_string());
        next = e.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading `a.tif`")]
    struct Read(#[source] std::io::Error);
    impl Classify for Read {
        fn class(&self) -> Class {
            Class::Input
        }
    }

    #[test]
    fn a_code_is_module_and_variant() {
        use crate::scene::SceneError;
        let unit: Error = crate::engine::EngineError::Interrupted.into();
        assert_eq!(unit.code(), "engine/interrupted");
        let fields: Error = SceneError::Truncated { path: "a.tif".into(), needed: 8, found: 0 }.into();
        assert_eq!(fields.code(), "scene/truncated");
        let two: Error = SceneError::NotADelivery { path: "a".into(), found: "x".into(), expected: "y".into() }.into();
        assert_eq!(two.code(), "scene/not-a-delivery");
        assert_eq!(Error::bug("x").code(), "error/bug");
        assert_eq!(two.within(|c| c.stage = Some("scene")).code(), "scene/not-a-delivery");
    }

    #[test]
    fn context_is_filled_from_the_inside_out_and_the_source_is_said_once() {
        let e: Error = Read(std::io::Error::other("disk on fire")).into();
        let e = e.within(|c| c.stage = Some("read")).within(|c| {
            c.stage = Some("engine");
            c.scene = Some("S1".into());
        });
        assert_eq!(chain(&e), "scene S1: stage read: reading `a.tif`: disk on fire");
        assert_eq!(e.class(), Class::Input);
        assert!(e.detail::<Read>().is_some());
    }
}
