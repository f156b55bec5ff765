//! How long requests may take, how often they are made again, and where credentials come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::StoreError;

/// Variables that name endpoints, keys and settings: those of the process, or others in tests.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

// Values may be secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// These variables and no others.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { variables: variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
    }

    /// The value of a variable; an empty one is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// True when a variable says yes, as the vendors' tools and GDAL understand it.
    pub fn says_yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| ["1", "true", "yes", "on"].contains(&v.to_ascii_lowercase().as_str()))
    }

    /// All variables whose names begin so.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables.iter().filter(move |(k, v)| k.starts_with(prefix) && !v.is_empty()).map(|(k, v)| (&**k, &**v))
    }

    /// A file in the home folder, unless a variable names another.
    pub fn file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        self.get(variable).map(PathBuf::from).or_else(|| Some(PathBuf::from(self.get("HOME")?).join(below_home)))
    }
}

/// How long a request may take, and how often it is made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A connection must stand within this.
    pub connect: Duration,
    /// The store must answer within this once it has the whole request, and may not pause for longer while it answers.
    /// `FIELDGLOW_STORE_TIMEOUT`.
    pub timeout: Duration,
    /// What one of several requests that share a slow link sends in a second; larger requests have so much more time.
    pub bytes_per_second: u64,
    /// No further try begins so long after the first one failed. `FIELDGLOW_STORE_PATIENCE`.
    pub patience: Duration,
    /// The same while the store has never answered anything: then a wrong endpoint is likelier than an outage.
    pub patience_unanswered: Duration,
    /// Pause before the second try; doubled before each further one. `FIELDGLOW_STORE_PAUSE`.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            bytes_per_second: 256 << 10,
            patience: Duration::from_secs(180),
            patience_unanswered: Duration::from_secs(20),
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// The defaults, with what the environment says instead.
    ///
    /// # Errors
    /// [`StoreError::Setting`].
    pub fn from(environment: &Environment) -> Result<Self, StoreError> {
        let seconds = |name: &'static str, default: Duration| match environment.get(name) {
            None => Ok(default),
            Some(text) => {
                let seconds = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                seconds.ok_or_else(|| StoreError::Setting { name, value: text.to_owned() })
            }
        };
        let default = Self::default();
        let timeout = seconds("FIELDGLOW_STORE_TIMEOUT", default.timeout)?;
        let patience = seconds("FIELDGLOW_STORE_PATIENCE", default.patience)?;
        let pause = seconds("FIELDGLOW_STORE_PAUSE", default.pause)?;
        Ok(Self {
            connect: default.connect.min(timeout),
            patience_unanswered: default.patience_unanswered.min(patience),
            longest_pause: default.longest_pause.max(pause),
            timeout,
            patience,
            pause,
            ..default
        })
    }

    /// How long the store may take to answer a request with a body of so many bytes.
    pub fn time_for(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_the_environment_and_mistakes_are_said() {
        assert_eq!(Settings::from(&Environment::default()).unwrap(), Settings::default());
        let env = Environment::new([("FIELDGLOW_STORE_TIMEOUT", "0.5"), ("FIELDGLOW_STORE_PATIENCE", "2")]);
        let settings = Settings::from(&env).unwrap();
        assert_eq!((settings.timeout, settings.connect), (Duration::from_millis(500), Duration::from_millis(500)));
        assert_eq!((settings.patience, settings.patience_unanswered), (Duration::from_secs(2), Duration::from_secs(2)));
        for value in ["x", "-1", "nan", "1e300"] {
            let env = Environment::new([("FIELDGLOW_STORE_PAUSE", value)]);
            assert!(matches!(Settings::from(&env), Err(StoreError::Setting { .. })), "{value}");
        }
    }

    #[test]
    fn larger_requests_have_more_time() {
        let settings = Settings::default();
        assert_eq!(settings.time_for(0), Duration::from_secs(30));
        assert_eq!(settings.time_for(8 << 20), Duration::from_secs(62));
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", Environment::new([("AWS_SECRET_ACCESS_KEY", "hush")]));
        assert_eq!(shown, "{\"AWS_SECRET_ACCESS_KEY\"}");
    }
}
