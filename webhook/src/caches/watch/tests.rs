//! What is seen of a kind, and what a cache has then.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::caches::condition::RELIED_ON;
use crate::watch::WatchError;
use crate::watch::tests::{Discovery, EXPIRED, Said, Script, deep, event, expired, status};

const NOW: Duration = Duration::from_secs(1000);
const LATER: Duration = Duration::from_secs(1001 + RELIED_ON.as_secs());

/// An object that each of the kinds can be read from.
fn valid(kind: Kind, name: &str, version: u64) -> Value {
    let resource = kind.resource();
    let namespace = (!of_the_cluster(kind)).then_some("test");
    let provider = match kind {
        Kind::MetricTemplate => json!({ "type": "prometheus", "address": "http://prometheus" }),
        _ => json!("kubernetes"),
    };
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": name, "namespace": namespace, "resourceVersion": version.to_string() },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "service": { "port": 80 },
            "analysis": {},
            "provider": provider,
            "query": "up",
        },
    })
}

fn guard(object: &str) -> Whole {
    serde_json::from_str(object).unwrap()
}

/// Names that a kind's cache has.
fn names(caches: &Caches, kind: Kind) -> BTreeSet<String> {
    let keys = match kind {
        Kind::Canary => caches.canaries.keys(),
        Kind::Deployment => caches.deployments.keys(),
        Kind::Service => caches.services.keys(),
        Kind::EndpointSlice => caches.slices.keys(),
        Kind::Autoscaler => caches.autoscalers.keys(),
        Kind::Disruption => caches.disruptions.keys(),
        Kind::Route => caches.routes.keys(),
        Kind::MetricTemplate => caches.templates.keys(),
        Kind::Policy => caches.policies.keys(),
        Kind::ConfigMap => caches.config_maps.keys(),
        Kind::Secret => caches.secrets.keys(),
        Kind::Namespace => caches.namespaces.keys(),
        Kind::Enforcer => caches.enforcers.keys(),
        _ => Vec::new(),
    };
    keys.iter().map(|key| key.name.to_string()).collect()
}

fn kinds() -> impl Iterator<Item = Kind> {
    let all = WATCHED.into_iter().chain(GLANCED_AT);
    all.filter(|kind| *kind != Kind::Definition)
}

/// The caches after a script is through.
async fn after(script: &Script, kind: Kind) -> Arc<Caches> {
    let caches = Arc::new(Caches::default());
    let clock = Clock::start();
    let watching = if GLANCED_AT.contains(&kind) {
        tokio::spawn(follow::<PartialObjectMeta<DynamicObject>>(
            caches.clone(),
            kind,
            script.source(),
            clock,
        ))
    } else {
        tokio::spawn(follow::<DynamicObject>(
            caches.clone(),
            kind,
            script.source(),
            clock,
        ))
    };
    while !script.is_silent() {
        tokio::task::yield_now().await;
    }
    watching.abort();
    caches
}

#[tokio::test]
async fn an_expired_watch_empties_no_cache() {
    for kind in kinds() {
        for end in [
            Said::Events(vec![expired()]),
            Said::Error(410, EXPIRED),
            Said::Error(500, EXPIRED),
            Said::Error(403, EXPIRED),
        ] {
            let list = Said::Page(vec![valid(kind, "a", 1).to_string()], false);
            // The list that follows fails as well.
            let script = Script::new(
                kind,
                Discovery::NoGroup,
                vec![list, end, Said::Error(500, EXPIRED)],
            );
            let caches = after(&script, kind).await;
            assert_eq!(names(&caches, kind).len(), 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_kind_is_emptied_when_discovery_says_that_it_is_gone_and_not_before() {
    for kind in [
        Kind::Route,
        Kind::Policy,
        Kind::MetricTemplate,
        Kind::Canary,
    ] {
        for (discovery, left) in [
            (Discovery::Known, 1),
            (Discovery::Down, 1),
            (Discovery::Unknown, 0),
            (Discovery::NoGroup, 0),
        ] {
            let list = Said::Page(vec![valid(kind, "a", 1).to_string()], false);
            let gone = Said::Error(404, "the server could not find the requested resource");
            let script = Script::new(kind, discovery, vec![list, gone]);
            let caches = after(&script, kind).await;
            assert_eq!(names(&caches, kind).len(), left, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_kind_that_was_never_there_is_waited_for_only_where_nothing_works_without_it() {
    let gone = || {
        vec![Said::Error(
            404,
            "the server could not find the requested resource",
        )]
    };
    for (kind, discovery, synced) in [
        (Kind::Route, Discovery::NoGroup, true),
        (Kind::Route, Discovery::Known, false),
        (Kind::Policy, Discovery::NoGroup, true),
        (Kind::Policy, Discovery::Down, false),
        (Kind::Canary, Discovery::NoGroup, false),
    ] {
        let caches = after(&Script::new(kind, discovery, gone()), kind).await;
        let is = match kind {
            Kind::Route => caches.routes.synced(),
            Kind::Canary => caches.canaries.synced(),
            _ => caches.policies.synced() || caches.is_given_up(kind),
        };
        assert_eq!(is, synced, "{kind:?}");
    }
}

#[tokio::test]
async fn an_object_nested_too_deep_keeps_no_kind_from_being_read() {
    for kind in [
        Kind::Canary,
        Kind::Route,
        Kind::MetricTemplate,
        Kind::Policy,
    ] {
        let good = |name: &str, version| valid(kind, name, version).to_string();
        let script = Script::new(
            kind,
            Discovery::Known,
            vec![
                Said::Page(vec![good("a", 1), deep("bad", 2), good("turns", 3)], false),
                Said::Events(vec![
                    event("ADDED", &good("b", 101)),
                    event("MODIFIED", &deep("turns", 102)),
                    event("ADDED", &good("c", 103)),
                ]),
                // Known again in a list, and still unreadable.
                Said::Error(410, "gone"),
                Said::Page(
                    vec![
                        good("a", 1),
                        deep("bad", 2),
                        deep("turns", 102),
                        good("c", 103),
                    ],
                    false,
                ),
            ],
        );
        let caches = after(&script, kind).await;
        let mut expected: BTreeSet<_> = ["a", "c"].map(str::to_owned).into();
        if !of_the_cluster(kind) {
            // Its former version stays: it is there, and nobody deleted it.
            expected.insert("turns".to_owned());
        }
        let mut found = names(&caches, kind);
        if of_the_cluster(kind) {
            found.remove("turns");
        }
        assert_eq!(found, expected, "{kind:?}");
        let namespace = "test";
        let why = caches
            .unreadable(kind, &Key::new(namespace, "bad"))
            .unwrap();
        assert!(why.contains("recursion limit"), "{why}");
    }
}

// --- policies

fn of_policies_seen(seen: Vec<Seen<Whole>>) -> (Arc<Caches>, View) {
    let caches = Arc::new(Caches::default());
    let mut view = View::new(caches.clone(), Kind::Policy);
    for seen in seen {
        view.see(seen, NOW);
    }
    (caches, view)
}

fn failed(code: u16, text: &str) -> Seen<Whole> {
    let status = serde_json::from_value(status(code, text)).unwrap();
    Seen::Failed(WatchError::Api(kube::Error::Api(Box::new(status))))
}

fn listed(object: &Value) -> Seen<Whole> {
    Seen::Listed(guard(&object.to_string()))
}

#[test]
fn policies_that_may_not_be_read_hold_and_keep_nobody_from_getting_ready() {
    let (caches, _) = of_policies_seen(vec![Seen::Listing, failed(403, "no")]);
    assert!(caches.is_given_up(Kind::Policy));
    let why = caches.unreadable_policies(NOW).unwrap();
    let expected = "CanaryPolicies cannot be read: 403: no; give the server the right to list and watch canarypolicies, or start it with --policies=off if there are to be none";
    assert_eq!(why, expected);
}

#[test]
fn policies_that_were_read_are_relied_upon_for_half_a_minute() {
    let policy = valid(Kind::Policy, "a", 1);
    let (caches, mut view) = of_policies_seen(vec![
        Seen::Listing,
        listed(&policy),
        Seen::Complete,
        Seen::Watching,
        failed(500, "down"),
    ]);
    assert_eq!(caches.unreadable_policies(NOW), None);
    assert_eq!(caches.unreadable_policies(NOW + RELIED_ON), None);
    let why = caches.unreadable_policies(LATER).unwrap();
    assert!(why.contains("500: down"), "{why}");
    view.see(failed(500, "still down"), LATER);
    assert_eq!(
        caches.unreadable_policies(LATER),
        Some(why),
        "one error has one text"
    );
    assert_eq!(names(&caches, Kind::Policy).len(), 1, "they stay in force");
    // A list is no watch: what comes after it would not be seen.
    for seen in [Seen::Listing, listed(&policy), Seen::Complete] {
        view.see(seen, LATER);
    }
    assert!(caches.unreadable_policies(LATER).is_some());
    view.see(Seen::<Whole>::Watching, LATER);
    assert_eq!(caches.unreadable_policies(LATER), None);
}

#[test]
fn there_are_no_policies_where_there_is_no_such_kind() {
    let (caches, _) = of_policies_seen(vec![Seen::Listing, Seen::Absent]);
    assert_eq!(caches.unreadable_policies(LATER), None);
    assert!(caches.policies.synced());
}

#[test]
fn a_policy_of_which_no_version_was_ever_read_holds_until_it_is_corrected_or_deleted() {
    let bad = || guard(&deep("bad", 5).replace(r#""namespace":"test","#, ""));
    let (caches, mut view) = of_policies_seen(vec![
        Seen::Listing,
        Seen::Listed(bad()),
        Seen::Complete,
        Seen::Watching,
    ]);
    let why = caches.unreadable_policies(NOW).unwrap();
    assert!(
        why.starts_with("CanaryPolicy bad cannot be read: recursion limit"),
        "{why}"
    );
    assert!(why.ends_with("; correct or delete it"), "{why}");
    view.see(Seen::Deleted(bad()), NOW);
    assert_eq!(caches.unreadable_policies(NOW), None);
}

#[test]
fn a_policy_that_became_unreadable_applies_as_it_was_last_read() {
    let (caches, mut view) =
        of_policies_seen(vec![listed(&valid(Kind::Policy, "p", 1)), Seen::Complete]);
    let mut wrong = valid(Kind::Policy, "p", 2);
    wrong["spec"]["enforcement"] = json!(["Deny"]);
    view.see(Seen::Applied(guard(&wrong.to_string())), NOW);
    assert!(
        caches
            .unreadable(Kind::Policy, &Key::new("", "p"))
            .is_some()
    );
    assert_eq!(names(&caches, Kind::Policy).len(), 1);
    assert_eq!(caches.unreadable_policies(NOW), None);
}

#[test]
fn labels_of_namespaces_matter_to_policies_that_select_by_them() {
    let caches = Arc::new(Caches::default());
    let mut namespaces = View::new(caches.clone(), Kind::Namespace);
    namespaces.see(failed(403, "no"), NOW);
    let mut policies = View::new(caches.clone(), Kind::Policy);
    let mut policy = valid(Kind::Policy, "p", 1);
    policies.see(listed(&policy), NOW);
    policies.see(Seen::<Whole>::Complete, NOW);
    assert_eq!(caches.unreadable_policies(LATER), None);
    policy["metadata"]["resourceVersion"] = json!("2");
    policy["spec"]["namespaces"] = json!({ "matchLabels": { "tier": "prod" } });
    policies.see(Seen::Applied(guard(&policy.to_string())), NOW);
    let why = caches.unreadable_policies(LATER).unwrap();
    assert!(why.contains("list and watch namespaces"), "{why}");
}

#[test]
fn who_goes_without_policies_is_held_by_none() {
    let caches = Arc::new(Caches::default());
    caches.go_without_policies();
    for kind in [Kind::Policy, Kind::Namespace, Kind::Enforcer] {
        assert!(caches.is_given_up(kind));
    }
    assert_eq!(caches.unreadable_policies(LATER), None);
}

// --- whatever is seen

#[derive(Clone, Debug)]
enum Step {
    /// A whole list: names, each readable or not.
    List(Vec<(u8, bool)>),
    /// A list that an error ends.
    Broken(Vec<(u8, bool)>, u16, &'static str),
    Apply(u8, bool),
    Delete(u8),
    Watching,
    Fail(u16, &'static str),
    Absent,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0_u8..5;
    let items = vec((name.clone(), prop::bool::weighted(0.7)), 0..5);
    let code = prop::sample::select(vec![
        400_u16, 401, 403, 404, 408, 409, 410, 429, 500, 503, 504,
    ]);
    let text = prop::sample::select(vec![
        EXPIRED,
        "404 page not found",
        "403 Forbidden",
        "too old resource version: 403404 (404403)",
        "",
    ]);
    prop_oneof![
        3 => items.clone().prop_map(Step::List),
        2 => (items, code.clone(), text.clone()).prop_map(|(items, code, text)| Step::Broken(items, code, text)),
        3 => (name.clone(), prop::bool::weighted(0.7)).prop_map(|(name, readable)| Step::Apply(name, readable)),
        1 => name.prop_map(Step::Delete),
        1 => Just(Step::Watching),
        4 => (code, text).prop_map(|(code, text)| Step::Fail(code, text)),
        1 => Just(Step::Absent),
    ]
}

/// What must be in the cache: read once, and neither missing in a complete list nor deleted since.
#[derive(Default)]
struct Model {
    known: BTreeSet<u8>,
    version: u64,
}

impl Model {
    fn object(&mut self, kind: Kind, name: u8, readable: bool) -> Whole {
        self.version += 1;
        let mut object = valid(kind, &format!("o{name}"), self.version);
        if !readable {
            object["metadata"]["labels"] = json!({ "not": ["a", "label"] });
        }
        if readable {
            self.known.insert(name);
        }
        guard(&object.to_string())
    }

    fn seen(&mut self, kind: Kind, step: &Step) -> Vec<Seen<Whole>> {
        match step {
            Step::List(items) => {
                let mut seen = vec![Seen::Listing];
                for (name, readable) in items {
                    seen.push(Seen::Listed(self.object(kind, *name, *readable)));
                }
                self.known
                    .retain(|name| items.iter().any(|(listed, _)| listed == name));
                seen.push(Seen::Complete);
                seen
            }
            Step::Broken(items, code, text) => {
                let mut seen = vec![Seen::Listing];
                for (name, readable) in items {
                    seen.push(Seen::Listed(self.object(kind, *name, *readable)));
                }
                seen.push(failed(*code, text));
                seen
            }
            Step::Apply(name, readable) => {
                vec![Seen::Applied(self.object(kind, *name, *readable))]
            }
            Step::Delete(name) => {
                let object = self.object(kind, *name, false);
                self.known.remove(name);
                vec![Seen::Deleted(object)]
            }
            Step::Watching => vec![Seen::Watching],
            Step::Fail(code, text) => vec![failed(*code, text)],
            Step::Absent => {
                self.known.clear();
                vec![Seen::Absent]
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn only_a_list_an_event_or_discovery_takes_an_object_away(
        kind in prop::sample::select(kinds().collect::<Vec<_>>()),
        steps in vec(step(), 1..24),
    ) {
        let caches = Arc::new(Caches::default());
        let mut view = View::new(caches.clone(), kind);
        let mut model = Model::default();
        // Otherwise an absent Canary definition is one that is waited for.
        view.see(Seen::<Whole>::Complete, NOW);
        for step in steps {
            for seen in model.seen(kind, &step) {
                view.see(seen, NOW);
            }
            let expected: BTreeSet<String> =
                model.known.iter().map(|name| format!("o{name}")).collect();
            prop_assert_eq!(names(&caches, kind), expected, "{:?} after {:?}", kind, step);
        }
    }
}
