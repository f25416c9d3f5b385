//! The one Canary that a page shows: its objects and Events are watched for as long as it is shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use canary_core::canary::Canary;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::DynamicObject;
use kube::runtime::watcher;
use serde_json::json;
use tokio::sync::{broadcast, mpsc};

use super::Dashboard;
use super::detail::{Around, Detail};
use super::feed::{Change, Entry};
use super::seen::Said;
use crate::exit::{Error, one_line};
use crate::follow::{Part, parts, with_extras};
use crate::report::{Extra, Meta, Observed, created};

/// What arrives together is shown together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Name and data of a server-sent event.
pub type Message = (&'static str, String);

/// A Canary with what is watched around it.
struct Shown {
    observed: Observed,
    said: BTreeMap<String, Said>,
    unread: Option<String>,
    changes: BoxStream<'static, News>,
}

enum News {
    Extra(Part, Option<Box<DynamicObject>>),
    Events(Box<Result<watcher::Event<Event>, Error>>),
}

/// Tells a page all about one Canary until it does not listen any more.
pub async fn tell(dashboard: Arc<Dashboard>, meta: Meta, page: mpsc::Sender<Message>) {
    let mut changes = dashboard.feed.subscribe();
    let mut shown: Option<Shown> = None;
    let mut last = None;
    loop {
        let message = Box::pin(picture(&dashboard, &meta, &mut shown)).await;
        if message.is_some() && message != last {
            last.clone_from(&message);
            let Some(message) = message else { continue };
            if page.send(message).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = about(&meta, &mut changes) => {}
            () = news(shown.as_mut()) => tokio::time::sleep(TOGETHER).await,
            () = page.closed() => return,
        }
        if let Some(shown) = &mut shown {
            shown.take_in_all();
        }
    }
}

/// How it is now; nothing before the watch has told.
async fn picture(dashboard: &Dashboard, meta: &Meta, shown: &mut Option<Shown>) -> Option<Message> {
    let entry = dashboard.feed.entry(meta);
    let Some(Entry { canary, seen, .. }) = entry else {
        *shown = None;
        dashboard.feed.rows()?;
        return Some(("gone", "{}".to_owned()));
    };
    let canary = match canary {
        Ok(canary) => canary,
        Err(why) => return Some(("unreadable", json!({ "message": why }).to_string())),
    };
    let same = shown
        .as_ref()
        .is_some_and(|shown| is_same(&shown.observed.canary, &canary));
    if !same {
        *shown = Some(Box::pin(Shown::start(dashboard, (*canary).clone())).await);
    }
    let shown = shown.as_mut()?;
    shown.observed.canary = (*canary).clone();
    let said: Vec<Said> = shown.said.values().cloned().collect();
    let around = Around {
        seen: &seen,
        said: &said,
        unread: shown.unread.as_deref(),
        read_only: dashboard.read_only,
    };
    let detail = Detail::of(&shown.observed, around);
    Some(("detail", serde_json::to_string(&detail).ok()?))
}

/// Another generation may have other objects around it.
fn is_same(one: &Canary, other: &Canary) -> bool {
    one.metadata.uid == other.metadata.uid && one.metadata.generation == other.metadata.generation
}

/// Until something about this Canary has changed.
async fn about(meta: &Meta, changes: &mut broadcast::Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change::One(other)) if other != *meta => {}
            Ok(Change::Trouble) => {}
            Ok(Change::One(_) | Change::All) | Err(broadcast::error::RecvError::Lagged(_)) => {
                return;
            }
            // The feed lives as long as the dashboard.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn news(shown: Option<&mut Shown>) {
    match shown {
        Some(shown) => shown.wait().await,
        None => std::future::pending().await,
    }
}

// === impl Shown ===

impl Shown {
    async fn start(dashboard: &Dashboard, canary: Canary) -> Self {
        let cluster = &dashboard.cluster;
        let namespace = canary.namespace_name().to_owned();
        let uid = canary.metadata.uid.clone().unwrap_or_default();
        let events = cluster
            .watch_events(&namespace, &uid)
            .map(|event| News::Events(Box::new(event)))
            .boxed();
        let extras = parts(&canary).into_iter().map(|(part, name, resource)| {
            cluster
                .watch_extra(&namespace, &name, &resource)
                .map(move |object| News::Extra(part, object.map(Box::new)))
                .boxed()
        });
        let changes = stream::select_all(extras.chain([events])).boxed();
        Self {
            observed: with_extras(cluster, canary).await,
            said: BTreeMap::new(),
            unread: None,
            changes,
        }
    }

    async fn wait(&mut self) {
        match self.changes.next().await {
            Some(news) => self.take_in(news),
            None => std::future::pending().await,
        }
    }

    /// What has arrived already.
    fn take_in_all(&mut self) {
        while let Some(Some(news)) = self.changes.next().now_or_never() {
            self.take_in(news);
        }
    }

    fn take_in(&mut self, news: News) {
        match news {
            News::Extra(part, object) => {
                *self.observed.part(part) = object.map_or(Extra::Absent, Extra::Found);
            }
            News::Events(event) => match *event {
                Ok(event) => {
                    self.unread = None;
                    self.hear(event);
                }
                Err(error) => self.unread = Some(one_line(&error.to_string())),
            },
        }
    }

    fn hear(&mut self, event: watcher::Event<Event>) {
        let name = |event: &Event| event.metadata.name.clone().unwrap_or_default();
        match event {
            watcher::Event::Init => self.said.clear(),
            watcher::Event::InitApply(event) | watcher::Event::Apply(event) => {
                if let Some(said) = said(&event) {
                    self.said.insert(name(&event), said);
                }
            }
            watcher::Event::Delete(event) => drop(self.said.remove(&name(&event))),
            watcher::Event::InitDone => {}
        }
    }
}

/// The latest of the times that an Event has.
fn said(event: &Event) -> Option<Said> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let precise = event.event_time.as_ref().map(|time| time.0);
    let at: Timestamp = last.max(precise).or_else(|| created(&event.metadata))?;
    Some(Said {
        at,
        warning: event.type_.as_deref() == Some("Warning"),
        count: event.count.unwrap_or(1),
        text: one_line(event.message.as_deref().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(over: &serde_json::Value) -> Event {
        let mut event = json!({
            "metadata": {"name": "e", "creationTimestamp": "2026-03-01T11:00:00Z"},
            "involvedObject": {}, "type": "Normal", "message": "hello\u{1b}[31m\nworld",
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(over.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn an_event_is_as_old_as_its_last_repetition() {
        let at = |over: &serde_json::Value| said(&event(over)).unwrap().at.to_string();
        assert_eq!(at(&json!({})), "2026-03-01T11:00:00Z");
        let precise = json!({"eventTime": "2026-03-01T11:00:00.500000Z", "lastTimestamp": "2026-03-01T11:00:00Z"});
        assert_eq!(at(&precise), "2026-03-01T11:00:00.5Z");
        let repeated = json!({"eventTime": "2026-03-01T11:00:00.500000Z", "lastTimestamp": "2026-03-01T11:05:00Z"});
        assert_eq!(at(&repeated), "2026-03-01T11:05:00Z");
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        assert_eq!(said(&event(&json!({}))).unwrap().text, "hello[31m world");
    }
}
