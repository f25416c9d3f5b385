//! `/validate`: Canaries that cannot be run, and `MetricTemplates` that cannot be asked, are refused when
//! they are written, not when they are needed.

use canary_core::canary::Canary;
use canary_core::names::ALLOW_RECREATE;
use canary_core::request::Waiting;
use canary_core::template::MetricTemplate;
use canary_core::validate::Violation;
use canary_core::{names, request};
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::core::admission::Operation;

use super::answer::Refusal;
use super::{Answer, Config, Request, Subject, View, policy, sentence};

/// Deletes what is left in a namespace that is deleted; there is nobody to warn.
const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";

/// The one field of a `MetricTemplate` that is only warned about.
const PROVIDER_TYPE: &str = "spec.provider.type";

/// Answers a review of the validating webhook.
pub fn validate(request: &Request, view: &dyn View, config: &Config) -> Answer {
    match Subject::of(request, config) {
        Some(Subject::Canary) => {
            let answer = on_canary(request, view, config).and(on_request(request));
            answer.and(policy::on_canary(request, view))
        }
        Some(Subject::MetricTemplate) => on_template(request),
        Some(Subject::Deployment) => policy::on_deployment(request, view),
        Some(Subject::Policy) => policy::on_policy(request, view),
        None => Answer::allow(),
    }
}

fn on_canary(request: &Request, view: &dyn View, config: &Config) -> Answer {
    if request.operation == Operation::Delete {
        return on_delete(request);
    }
    refuse_new(request, |object| violations(object, request, view, config))
        .warn(other_services(request, view))
}

/// One that waits and goes back is not replaced by one that goes forward. The policy `canary-decisions` says the
/// same, where the API server has policies.
fn on_request(request: &Request) -> Answer {
    let parsed = |object: &Option<DynamicObject>| object.clone()?.try_parse::<Canary>().ok();
    let waiting = parsed(&request.old_object).and_then(|old| Waiting::on(&old));
    let (Some(waiting), Some(new)) = (waiting, parsed(&request.object)) else {
        return Answer::allow();
    };
    let later = new.annotations().get(names::REQUEST);
    let Some(later) = later.and_then(|later| request::parse(later).ok()) else {
        return Answer::allow();
    };
    if later == waiting.request || waiting.request.verb.gives_way_to(later.verb) {
        return Answer::allow();
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let message = format!(
        "{}: {} does not take its place; to take it back: {}",
        waiting.told(None),
        later.verb,
        Waiting::taken_back(&request.name, namespace)
    );
    let by = "request";
    Answer::forbidden(vec![Refusal { by, message }])
}

/// Its adoption waits for them, or takes their pods away.
fn other_services(request: &Request, view: &dyn View) -> Option<String> {
    let new = request.object.as_ref()?;
    if new.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let canary: Canary = new.clone().try_parse().ok()?;
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let text = view.other_services(namespace, &canary)?;
    Some(sentence::fit(&text))
}

fn on_template(request: &Request) -> Answer {
    // One for a Flagger that runs beside us is not ours to refuse, and says so at each check of ours.
    let foreign = |it: &Violation| it.field == PROVIDER_TYPE;
    let judged = refuse_new(request, |object| {
        let mut found = of_template(object);
        found.retain(|it| !foreign(it));
        found
    });
    let found = request.object.as_ref().map(of_template).unwrap_or_default();
    let told = found.iter().filter(|it| foreign(it));
    judged.warn(told.map(|it| sentence::fit(&it.to_string())))
}

fn of_template(object: &DynamicObject) -> Vec<Violation> {
    match object.clone().try_parse::<MetricTemplate>() {
        Ok(template) => canary_core::validate::validate_metric_template(&template.spec),
        Err(error) => vec![violation("spec", format!("cannot be read: {error}"))],
    }
}

/// Refuses what is wrong with the new object. What was wrong before may stay wrong, or nobody could label such
/// an object any more.
fn refuse_new(request: &Request, violations: impl Fn(&DynamicObject) -> Vec<Violation>) -> Answer {
    let new = request.object.as_ref();
    let Some(new) = new.filter(|new| new.metadata.deletion_timestamp.is_none()) else {
        return Answer::allow();
    };
    let before = request
        .old_object
        .as_ref()
        .map(&violations)
        .unwrap_or_default();
    let (kept, added): (Vec<_>, Vec<_>) = violations(new)
        .into_iter()
        .partition(|violation| before.contains(violation));
    if added.is_empty() {
        let told = kept
            .iter()
            .map(|violation| sentence::fit(&violation.to_string()));
        Answer::allow().warn(told)
    } else {
        Answer::invalid(added)
    }
}

fn on_delete(request: &Request) -> Answer {
    let warning = request
        .old_object
        .as_ref()
        .filter(|_| request.user_info.username.as_deref() != Some(NAMESPACE_CONTROLLER))
        .filter(|canary| canary.metadata.deletion_timestamp.is_none())
        .filter(|_| !leaves_all(request))
        .and_then(|canary| canary.clone().try_parse::<Canary>().ok())
        .and_then(|canary| sentence::on_delete(&canary));
    Answer::allow().warn(warning)
}

/// `--cascade=orphan`: what was generated stays, and serves.
fn leaves_all(request: &Request) -> bool {
    let options = request.options.as_ref();
    options.is_some_and(|options| options.0["propagationPolicy"] == "Orphan")
}

fn violations(
    object: &DynamicObject,
    request: &Request,
    view: &dyn View,
    config: &Config,
) -> Vec<Violation> {
    let canary: Canary = match object.clone().try_parse() {
        Ok(canary) => canary,
        Err(error) => return vec![violation("spec", format!("cannot be read: {error}"))],
    };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let mut found = canary_core::validate::validate(&canary, &config.default_provider);
    found.extend(second_canary(&canary, namespace, view));
    found.extend(recreate(&canary, namespace, view));
    found.extend(shared_selector(&canary, namespace, view));
    found.extend(malformed_request(&canary));
    found
}

/// Of two Canaries for one target the older acts, so the newer would never do anything.
fn second_canary(canary: &Canary, namespace: &str, view: &dyn View) -> Option<Violation> {
    let target = &canary.spec.target_ref;
    let of_it = view.canaries_for(namespace, &target.name);
    let other = of_it.into_iter().find(|other| {
        other.name_any() != canary.name_any()
            && other.metadata.deletion_timestamp.is_none()
            && other.spec.target_ref.kind == target.kind
    })?;
    Some(violation(
        "spec.targetRef.name",
        format!(
            "{} {} already has Canary {}: name another target, or delete that Canary",
            target.kind,
            target.name,
            other.name_any()
        ),
    ))
}

fn recreate(canary: &Canary, namespace: &str, view: &dyn View) -> Option<Violation> {
    let target = &canary.spec.target_ref;
    if canary.accepts_recreate()
        || target.kind != "Deployment"
        || view.target_strategy(namespace, &target.name).as_deref() != Some("Recreate")
    {
        return None;
    }
    Some(violation(
        "spec.targetRef.name",
        format!(
            "Deployment {} has strategy Recreate, which stops every pod before it starts a new one: \
             set its spec.strategy.type to RollingUpdate, or annotate the Canary {ALLOW_RECREATE}=true",
            target.name
        ),
    ))
}

fn shared_selector(canary: &Canary, namespace: &str, view: &dyn View) -> Option<Violation> {
    let text = view.shared_selector(namespace, canary)?;
    Some(violation("spec.targetRef.name", text))
}

fn malformed_request(canary: &Canary) -> Option<Violation> {
    let wish = canary
        .annotations()
        .get(names::REQUEST)
        .filter(|wish| !wish.is_empty())?;
    let error = request::parse(wish).err()?;
    Some(violation(
        &format!("metadata.annotations[{}]", names::REQUEST),
        error.to_string(),
    ))
}

fn violation(field: &str, message: String) -> Violation {
    Violation {
        field: field.to_owned(),
        message,
    }
}
