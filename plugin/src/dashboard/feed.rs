//! All Canaries as one watch tells them, for as many pages as look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use canary_core::canary::Canary;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use tokio::sync::broadcast;

use super::row::Row;
use super::seen::Seen;
use crate::client::{self, Guarded};
use crate::env::now;
use crate::exit::Error;
use crate::report::{Meta, Observed};

/// A page that is further behind gets the whole list anew.
const BACKLOG: usize = 256;

/// What the watch has told so far.
pub struct Feed {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Meta, Entry>,
    /// A list that is being read anew; the old one is shown meanwhile.
    arriving: Option<BTreeMap<Meta, Entry>>,
    complete: bool,
    trouble: Option<Trouble>,
}

/// What is known of one Canary.
#[derive(Clone)]
pub struct Entry {
    pub canary: Result<Arc<Canary>, String>,
    pub seen: Seen,
    /// The row as it is sent.
    pub row: Arc<str>,
}

/// What a page has to send anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    One(Meta),
    All,
    Trouble,
}

/// Why nothing new arrives.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Trouble {
    pub message: String,
    pub hint: Option<String>,
}

// === impl Feed ===

impl Default for Feed {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changes: broadcast::Sender::new(BACKLOG),
        }
    }
}

impl Feed {
    /// Takes in what a watch tells, for as long as it does.
    pub async fn keep(&self, watch: impl Stream<Item = Result<Event<Guarded>, Error>>) {
        let mut watch = std::pin::pin!(watch);
        while let Some(event) = watch.next().await {
            self.take_in(event, now());
        }
    }

    pub fn take_in(&self, event: Result<Event<Guarded>, Error>, now: Timestamp) {
        for change in self.state().take_in(event, now) {
            // Nobody may be looking.
            let _ = self.changes.send(change);
        }
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub fn entry(&self, meta: &Meta) -> Option<Entry> {
        self.state().entries.get(meta).cloned()
    }

    pub fn row(&self, meta: &Meta) -> Option<Arc<str>> {
        self.state()
            .entries
            .get(meta)
            .map(|entry| entry.row.clone())
    }

    /// All rows as a JSON list; none before the watch has told them all.
    pub fn rows(&self) -> Option<String> {
        let state = self.state();
        let rows: Vec<&str> = state.entries.values().map(|entry| &*entry.row).collect();
        state.complete.then(|| format!("[{}]", rows.join(",")))
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    #[cfg(test)]
    pub fn listeners(&self) -> usize {
        self.changes.receiver_count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn take_in(&mut self, event: Result<Event<Guarded>, Error>, now: Timestamp) -> Vec<Change> {
        let event = match event {
            Ok(event) => event,
            Err(error) => return self.fail(&error),
        };
        let mut changes = Vec::new();
        if self.trouble.take().is_some() {
            changes.push(Change::Trouble);
        }
        match event {
            Event::Init => self.arriving = Some(BTreeMap::new()),
            Event::InitApply(canary) => {
                let (meta, entry) = self.read(canary, now);
                self.arriving.get_or_insert_default().insert(meta, entry);
            }
            Event::InitDone => {
                self.entries = self.arriving.take().unwrap_or_default();
                self.complete = true;
                changes.push(Change::All);
            }
            Event::Apply(canary) => {
                let (meta, entry) = self.read(canary, now);
                self.entries.insert(meta.clone(), entry);
                changes.push(Change::One(meta));
            }
            Event::Delete(canary) => {
                let meta = meta(&canary);
                self.entries.remove(&meta);
                changes.push(Change::One(meta));
            }
        }
        changes
    }

    fn fail(&mut self, error: &Error) -> Vec<Change> {
        let trouble = Trouble::of(error);
        if self.trouble.as_ref() == Some(&trouble) {
            return Vec::new();
        }
        self.trouble = Some(trouble);
        vec![Change::Trouble]
    }

    fn read(&self, guarded: Guarded, now: Timestamp) -> (Meta, Entry) {
        let meta = meta(&guarded);
        let known = self.entries.get(&meta);
        let (canary, seen, row) = match client::read(guarded) {
            Ok(canary) => {
                let observed = Observed::alone(canary);
                let report = observed.report();
                let mut seen = same_object(known, &observed.canary);
                let release = observed
                    .canary
                    .status
                    .as_ref()
                    .and_then(|it| it.release.as_ref());
                seen.take_in(&report, release.and_then(|release| release.step_since), now);
                (Ok(Arc::new(observed.canary)), seen, Row::of(&report))
            }
            Err(error) => {
                let why = error.to_string();
                let row = Row::unreadable(&meta.namespace, &meta.name, &why);
                (Err(why), Seen::default(), row)
            }
        };
        // A row is plain data: it can always be written.
        let row = serde_json::to_string(&row).unwrap_or_default().into();
        (meta, Entry { canary, seen, row })
    }
}

/// What was seen of it; nothing, if it was deleted and made anew.
fn same_object(known: Option<&Entry>, canary: &Canary) -> Seen {
    let same = |entry: &&Entry| {
        let known = entry.canary.as_ref().ok();
        known.is_some_and(|known| known.metadata.uid == canary.metadata.uid)
    };
    known
        .filter(same)
        .map(|entry| entry.seen.clone())
        .unwrap_or_default()
}

fn meta(canary: &Guarded) -> Meta {
    Meta {
        namespace: canary.namespace().unwrap_or_default(),
        name: canary.name_any(),
    }
}

// === impl Trouble ===

impl Trouble {
    pub fn of(error: &Error) -> Self {
        Self {
            message: crate::exit::one_line(&error.to_string()),
            hint: error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use canary_core::guard::Guard;
    use serde_json::{Value, json};

    use super::*;
    use crate::report::tests::{canary, noon, status};

    fn guarded(name: &str, uid: &str, weight: i64) -> Guarded {
        let mut canary = canary(&status("Progressing", weight, 0, &json!({})));
        canary.metadata.name = Some(name.into());
        canary.metadata.uid = Some(uid.into());
        Guard(Ok(canary))
    }

    fn meta(name: &str) -> Meta {
        Meta {
            namespace: "test".into(),
            name: name.into(),
        }
    }

    fn fed(events: Vec<Event<Guarded>>) -> (Feed, Vec<Change>) {
        let feed = Feed::default();
        let mut changes = feed.subscribe();
        for event in events {
            feed.take_in(Ok(event), noon());
        }
        let mut all = Vec::new();
        while let Ok(change) = changes.try_recv() {
            all.push(change);
        }
        (feed, all)
    }

    fn names(feed: &Feed) -> Vec<String> {
        let rows: Vec<Value> = serde_json::from_str(&feed.rows().unwrap()).unwrap();
        rows.iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn nothing_is_shown_before_all_is_known() {
        let (feed, changes) = fed(vec![Event::Init, Event::InitApply(guarded("a", "1", 10))]);
        assert_eq!((feed.rows(), changes), (None, vec![]));
    }

    #[test]
    fn a_list_that_is_read_anew_replaces_the_old_one_at_once() {
        let first = [
            Event::Init,
            Event::InitApply(guarded("a", "1", 10)),
            Event::InitDone,
        ];
        let again = [Event::Init, Event::InitApply(guarded("b", "2", 10))];
        let (feed, _) = fed(first.into_iter().chain(again).collect());
        assert_eq!(names(&feed), ["a"]);
        feed.take_in(Ok(Event::InitDone), noon());
        assert_eq!(names(&feed), ["b"]);
    }

    #[test]
    fn each_change_names_its_canary() {
        let (feed, changes) = fed(vec![
            Event::Init,
            Event::InitDone,
            Event::Apply(guarded("a", "1", 10)),
            Event::Delete(guarded("a", "1", 10)),
        ]);
        let one = Change::One(meta("a"));
        assert_eq!(changes, [Change::All, one.clone(), one]);
        assert!(feed.entry(&meta("a")).is_none());
    }

    #[test]
    fn what_was_seen_of_a_deleted_canary_is_not_told_of_its_successor() {
        let weights = |events| {
            let (feed, _) = fed(events);
            feed.entry(&meta("a"))
                .unwrap()
                .seen
                .weights(noon(), &[])
                .len()
        };
        let (first, then) = (guarded("a", "1", 10), guarded("a", "1", 20));
        assert_eq!(
            weights(vec![Event::Apply(first.clone()), Event::Apply(then)]),
            2
        );
        let other = guarded("a", "2", 20);
        assert_eq!(weights(vec![Event::Apply(first), Event::Apply(other)]), 1);
    }

    #[test]
    fn trouble_is_told_once_and_passes() {
        let (feed, _) = fed(vec![Event::Init, Event::InitDone]);
        let mut changes = feed.subscribe();
        for _ in 0..2 {
            feed.take_in(Err(Error::Api("gone fishing".into())), noon());
        }
        assert_eq!(feed.trouble().unwrap().message, "gone fishing");
        feed.take_in(Ok(Event::Init), noon());
        assert_eq!(feed.trouble(), None);
        assert_eq!(changes.try_recv(), Ok(Change::Trouble));
        assert_eq!(changes.try_recv(), Ok(Change::Trouble));
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_canary_that_cannot_be_read_has_a_row_that_says_so() {
        let invalid: Guarded = serde_json::from_value(json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": {"name": "odd", "namespace": "test"}, "spec": 1,
        }))
        .unwrap();
        let (feed, _) = fed(vec![
            Event::Init,
            Event::InitApply(invalid),
            Event::InitDone,
        ]);
        let rows: Vec<Value> = serde_json::from_str(&feed.rows().unwrap()).unwrap();
        assert_eq!(rows[0]["phase"], "Unreadable");
        assert!(
            rows[0]["attention"]
                .as_str()
                .unwrap()
                .contains("cannot be read")
        );
    }
}
