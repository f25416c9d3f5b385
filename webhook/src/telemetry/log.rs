//! Log lines, as Flagger's users read them with `jq .msg`:
//! `{"level":"info","ts":"2026-11-23T12:00:00.123Z","msg":"…","canary":"podinfo.test"}`.

use std::fmt;
use std::io;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Our crates; the level is theirs, and dependencies are heard only when something is wrong.
const OURS: [&str; 2] = ["canary_webhook", "canary_core"];

/// The clock of log lines: it arrives like any other clock.
pub type Clock = fn() -> Timestamp;

/// From which level on lines are written; Flagger's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Debug,
    #[default]
    Info,
    #[value(alias = "warning")]
    Warn,
    #[value(aliases = ["fatal", "panic"])]
    Error,
}

/// Flagger calls `text` `console`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Json,
    #[value(alias = "console")]
    Text,
}

#[derive(Debug, Error)]
#[error("the log is set up already: {0}")]
pub struct InitError(#[from] TryInitError);

/// Writes the process's log to stderr.
pub fn init(level: Level, format: Format, clock: Clock) -> Result<(), InitError> {
    Ok(subscriber(level, format, clock, io::stderr).try_init()?)
}

fn subscriber<W>(level: Level, format: Format, clock: Clock, writer: W) -> impl Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines { format, clock })
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(targets(level))
        .with(lines)
}

fn targets(level: Level) -> Targets {
    let foreign = match level {
        Level::Debug => LevelFilter::INFO,
        Level::Info | Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let ours = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    Targets::new()
        .with_default(foreign)
        .with_targets(OURS.map(|target| (target, ours)))
}

struct Lines {
    format: Format,
    clock: Clock,
}

/// One line before it is written.
struct Line {
    level: &'static str,
    ts: String,
    fields: Fields,
}

#[derive(Default)]
struct Fields {
    /// Where it comes from, if not from us.
    logger: Option<String>,
    message: String,
    others: Vec<(&'static str, Value)>,
}

// === impl Lines ===

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields {
            logger: logger_of(event.metadata()),
            ..Fields::default()
        };
        event.record(&mut fields);
        let line = Line {
            level: level_of(event.metadata()),
            ts: format!("{:.3}", (self.clock)()),
            fields,
        };
        match self.format {
            Format::Json => {
                let json = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
                writeln!(writer, "{json}")
            }
            Format::Text => writeln!(writer, "{line}"),
        }
    }
}

/// The names that zap prints.
fn level_of(metadata: &Metadata<'_>) -> &'static str {
    match *metadata.level() {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG | tracing::Level::TRACE => "debug",
    }
}

fn logger_of(metadata: &Metadata<'_>) -> Option<String> {
    let target = metadata.target();
    let crate_name = target.split("::").next().unwrap_or(target);
    (!OURS.contains(&crate_name)).then(|| target.to_owned())
}

// === impl Line ===

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("level", self.level)?;
        map.serialize_entry("ts", &self.ts)?;
        if let Some(logger) = &self.fields.logger {
            map.serialize_entry("logger", logger)?;
        }
        map.serialize_entry("msg", &self.fields.message)?;
        for (name, value) in &self.fields.others {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:5} ", self.ts, self.level)?;
        if let Some(logger) = &self.fields.logger {
            write!(f, "{logger}: ")?;
        }
        // A line is one event, also when a message has several.
        f.write_str(&self.fields.message.replace('\n', "\\n"))?;
        for (name, value) in &self.fields.others {
            match value {
                Value::String(text) if !text.contains(char::is_whitespace) => {
                    write!(f, " {name}={text}")?;
                }
                other => write!(f, " {name}={other}")?,
            }
        }
        Ok(())
    }
}

// === impl Fields ===

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => {
                self.message = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
            }
            // The bridge from the `log` crate has one target for all, and puts theirs here.
            "log.target" => self.logger = value.as_str().map(str::to_owned),
            name if name.starts_with("log.") => {}
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn noon() -> Timestamp {
        "2026-11-23T12:00:00.123456Z".parse().unwrap()
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(level: Level, format: Format, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let copy = buffer.clone();
        let subscriber = subscriber(level, format, noon, move || copy.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn json(log: impl FnOnce()) -> String {
        written(Level::Info, Format::Json, log)
    }

    #[test]
    fn a_line_of_a_release_is_what_flagger_prints() {
        let line =
            json(|| crate::notify::log("podinfo.test", "Advance podinfo.test canary weight 10"));
        assert_eq!(
            line,
            concat!(
                r#"{"level":"info","ts":"2026-11-23T12:00:00.123Z","#,
                r#""msg":"Advance podinfo.test canary weight 10","canary":"podinfo.test"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn fields_keep_their_types_and_order() {
        let error = io::Error::other("broken");
        let line = json(|| {
            tracing::warn!(
                weight = 10,
                share = 0.5,
                done = true,
                error = &error as &(dyn std::error::Error + 'static),
                name = %"x y",
                "said"
            );
        });
        assert_eq!(
            line,
            concat!(
                r#"{"level":"warn","ts":"2026-11-23T12:00:00.123Z","msg":"said","#,
                r#""weight":10,"share":0.5,"done":true,"error":"broken","name":"x y"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_message_with_quotes_and_newlines_is_still_one_line_of_json() {
        let text = "not ready: deployment \"podinfo\"\nexceeded";
        let line = json(|| tracing::error!("{text}"));
        assert_eq!(line.lines().count(), 1);
        let parsed: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["level"], "error");
        assert_eq!(parsed["msg"], text);
    }

    #[test]
    fn a_braced_message_is_not_taken_for_a_format() {
        let line = json(|| crate::notify::log("podinfo.test", "{{ namespace }} {x}"));
        assert!(line.contains(r#""msg":"{{ namespace }} {x}""#), "{line}");
    }

    #[test]
    fn dependencies_are_named_and_heard_only_when_something_is_wrong() {
        let line = json(|| {
            tracing::info!(target: "kube_client::client", "chatter");
            tracing::warn!(target: "kube_client::client", "trouble");
        });
        assert_eq!(line.lines().count(), 1);
        assert!(
            line.contains(r#""logger":"kube_client::client","msg":"trouble""#),
            "{line}"
        );
    }

    #[test]
    fn levels_below_the_wanted_one_are_silent() {
        let lines = |level| {
            let log = || {
                tracing::debug!("d");
                tracing::info!("i");
                tracing::warn!("w");
                tracing::error!("e");
            };
            written(level, Format::Json, log).lines().count()
        };
        assert_eq!(lines(Level::Debug), 4);
        assert_eq!(lines(Level::Info), 3);
        assert_eq!(lines(Level::Warn), 2);
        assert_eq!(lines(Level::Error), 1);
    }

    #[test]
    fn text_is_for_people() {
        let line = written(Level::Info, Format::Text, || {
            tracing::info!(
                canary = "podinfo.test",
                why = "no traffic",
                n = 2,
                "halt\nnow"
            );
        });
        assert_eq!(
            line,
            "2026-11-23T12:00:00.123Z info  halt\\nnow canary=podinfo.test why=\"no traffic\" n=2\n"
        );
    }

    #[test]
    fn flaggers_names_of_levels_and_formats_are_understood() {
        let level = |name| Level::from_str(name, false);
        assert_eq!(level("warning"), Ok(Level::Warn));
        assert_eq!(level("fatal"), Ok(Level::Error));
        assert!(level("loud").is_err());
        assert_eq!(Format::from_str("console", false), Ok(Format::Text));
    }
}
