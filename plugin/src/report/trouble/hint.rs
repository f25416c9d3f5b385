//! The command or the edit that helps, for each reason that the server gives. Pure.

use canary_core::canary::Canary;
use canary_core::names::{self, FOLLOW, FOLLOW_IGNORE, FOLLOW_PRIMARY};
use canary_core::release::conditions::{
    BASELINE_FAILED, BASELINE_REPLACED, CONFIG_LOST, DRIFT, HALTED, HELD, NOT_OBSERVED, PAUSED,
    PRIMARY_PORT, READY, REROUTED, REVERTING, SELECTOR, SPEC_PENDING, UNANSWERED,
};
use canary_core::status::{CanaryCondition, Phase};

/// Reasons of writes that the API server refuses.
const REFUSED: [&str; 3] = ["Forbidden", "Rejected", "WriteFailed"];

/// What helps against a condition; none where there is nothing to be done but to wait.
pub fn of_condition(canary: &Canary, condition: &CanaryCondition) -> Option<String> {
    let of = Of::new(canary);
    let (reason, message) = (condition.reason.as_str(), condition.message.as_str());
    // A limit is no matter of rights, nor of webhooks.
    let limit = of_limit(message, of.namespace).filter(|_| REFUSED.contains(&reason));
    match condition.type_.as_str() {
        READY => limit.or_else(|| of.hindrance(reason, message)),
        type_ => of.other(type_, reason),
    }
    .or_else(|| Some(of.unknown()))
    .filter(|hint| !hint.is_empty())
}

/// What helps against a limit of the namespace, which the API server refuses a write by. It says so in the same
/// words for a pod, an autoscaler or a Service.
pub fn of_limit(message: &str, namespace: &str) -> Option<String> {
    let says = |text: &str| message.contains(text);
    if says("exceeded quota") {
        return Some(format!(
            "make room, or raise it: kubectl describe resourcequota -n {namespace}"
        ));
    }
    if says("failed quota") {
        return Some(format!(
            "name what the quota asks for in the containers' resources: kubectl describe resourcequota -n {namespace}"
        ));
    }
    let bound = says("minimum ") || says("maximum ");
    let limited = bound && says(" usage per ") || says(" max limit to request ratio per ");
    limited.then(|| {
        format!("stay within it, or change it: kubectl describe limitrange -n {namespace}")
    })
}

/// Names, as commands want them.
struct Of<'a> {
    canary: &'a Canary,
    name: &'a str,
    namespace: &'a str,
}

// === impl Of ===

impl<'a> Of<'a> {
    fn new(canary: &'a Canary) -> Self {
        Self {
            canary,
            name: canary.metadata.name.as_deref().unwrap_or_default(),
            namespace: canary.namespace_name(),
        }
    }

    fn verb(&self, verb: &str) -> String {
        format!("kubectl canary {verb} {} -n {}", self.name, self.namespace)
    }

    fn edit(&self) -> String {
        format!("kubectl edit canary {} -n {}", self.name, self.namespace)
    }

    fn annotate(&self, annotation: &str) -> String {
        let (name, namespace) = (self.name, self.namespace);
        format!("kubectl annotate canary {name} {annotation}=true -n {namespace}")
    }

    /// Of `Ready`: what closes the ways forward.
    fn hindrance(&self, reason: &str, message: &str) -> Option<String> {
        let (target, namespace) = (self.canary.target_name(), self.namespace);
        let edit = self.edit();
        Some(match reason {
            "AutoscalerNotFound" => {
                format!("create it, or correct or take out spec.autoscalerRef: {edit}")
            }
            "TargetNotFound" => {
                format!("apply Deployment {target} again, or correct spec.targetRef: {edit}")
            }
            "RouteInvalid" => match self.canary.route() {
                Some(route) => format!(
                    "correct the route: kubectl edit apisixroute {} -n {namespace}; or spec.routeRef: {edit}",
                    route.name
                ),
                None => format!("name the route in spec.routeRef: {edit}"),
            },
            "RoutePort" => format!(
                "let both name one port: {edit}, or kubectl edit apisixroute {} -n {namespace}",
                self.canary.route().map_or("", |route| &route.name)
            ),
            "ConfigNotFound" => format!(
                "make it again, or mark the reference in Deployment {target} as optional; going back works: {}",
                self.verb("rollback")
            ),
            "Invalid" => format!("correct the Canary: {edit}"),
            "TargetTaken" => format!("name another Deployment in spec.targetRef: {edit}"),
            "NameTaken" => self.taken(message),
            "ServiceNotOurs" => format!("name another Service in spec.service.name: {edit}"),
            "SelectorMissing" => format!(
                "let the server tell pods by a label that Deployment {target} selects by: add its key to --selector-labels of canary-webhook. Or name a Deployment that has such a label, once its pods serve: {edit}"
            ),
            "SelectorNotApart" => self.not_apart(),
            "SelectorDiffers" => format!(
                "take the annotation {} off it. It can be made anew once no Service leads to its pods; which do: kubectl get endpointslices -n {namespace}",
                names::ADOPT
            ),
            "StrategyRecreate" => format!(
                "use RollingUpdate: kubectl edit deployment {target} -n {namespace}; or accept the outages: {}",
                self.annotate(names::ALLOW_RECREATE)
            ),
            SELECTOR => format!(
                "tell the two workloads apart by a label of their selectors, or accept it: {}",
                self.annotate(names::ALLOW_SHARED_SELECTOR)
            ),
            "OtherServices" => self.follow(),
            "Suspended" => format!(
                "let it go on: kubectl patch canary {} --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}' -n {namespace}",
                self.name
            ),
            REVERTING => format!(
                "see what ails its pods: {}; a template that does not start is taken back: kubectl rollout undo deployment/{target} -n {namespace}",
                self.verb("status")
            ),
            BASELINE_REPLACED => String::new(),
            _ => return self.unwritten(reason),
        })
    }

    /// Of `Ready`: a write that fails, or is of no use.
    fn unwritten(&self, reason: &str) -> Option<String> {
        Some(match reason {
            "Forbidden" => "give the server this right: `kubectl canary install` renews all of them; it tries again by itself".to_owned(),
            "Rejected" | "WriteFailed" => "mend what refuses the write; it is tried again by itself. Webhooks and policies that may: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies".to_owned(),
            "Contended" => format!(
                "find out who writes it all the time, and stop that: kubectl get events -n {}, and --show-managed-fields of what the message names",
                self.namespace
            ),
            "DefinitionOutdated" => "renew the definitions: kubectl canary install".to_owned(),
            "Contested" => "stop the other controller; a Flagger is found by: kubectl get deployments -A -l app.kubernetes.io/name=flagger".to_owned(),
            _ => return None,
        })
    }

    /// Of all other conditions, which are bad while they are true.
    fn other(&self, type_: &str, reason: &str) -> Option<String> {
        let namespace = self.namespace;
        Some(match type_ {
            // The command that goes on is offered anyway; that of the other is in its message.
            PAUSED | BASELINE_FAILED => String::new(),
            HELD => format!("see until when: {}", self.verb("can-i release")),
            UNANSWERED => format!(
                "look after the server behind the webhook, or give it a shorter timeout: {}; going back works: {}",
                self.edit(),
                self.verb("rollback")
            ),
            HALTED => format!("see what was asked and answered: {}", self.verb("explain")),
            NOT_OBSERVED => format!(
                "look after the controller manager: kubectl get lease kube-controller-manager -n kube-system; meanwhile going back works: {}",
                self.verb("rollback")
            ),
            SPEC_PENDING if reason == PRIMARY_PORT => format!(
                "release Deployment {} with a container port that this names, or name the port that the primary has: {}",
                self.canary.target_name(),
                self.edit()
            ),
            SPEC_PENDING => format!(
                "wait for the end of the release, or end it: {}",
                self.verb("rollback")
            ),
            SELECTOR if reason == "FewerLabels" => {
                "nothing: it ends with the next promotion".to_owned()
            }
            SELECTOR => format!(
                "tell the two workloads apart by a label of their selectors, or accept it: {}",
                self.annotate(names::ALLOW_SHARED_SELECTOR)
            ),
            DRIFT => format!("see who writes it, line `owners`: {}", self.verb("doctor")),
            CONFIG_LOST => format!(
                "let its source say again what was promoted, and the copy is made again; or promote what the source says now. Until then restart no pods of {}: kubectl get configmaps,secrets -n {namespace}",
                self.canary.primary_name()
            ),
            REROUTED => format!(
                "see who writes it: kubectl get apisixroutes -n {namespace} --show-managed-fields -o yaml. Then stop it: nothing that is routed lasts until then"
            ),
            "AutoscalerAmbiguous" => format!("name one in spec.autoscalerRef: {}", self.edit()),
            "OtherServices" => self.follow(),
            "PrimaryUncovered" => format!(
                "write one for the primary's pods: kubectl create poddisruptionbudget NAME --selector=LABELS --max-unavailable=1 -n {namespace}"
            ),
            _ => return None,
        })
    }

    fn follow(&self) -> String {
        format!(
            "say what becomes of each: kubectl annotate service NAME {FOLLOW}={FOLLOW_PRIMARY} -n {}, or {FOLLOW}={FOLLOW_IGNORE}",
            self.namespace
        )
    }

    /// The message begins with kind and `name.namespace` of what stands in the way.
    fn taken(&self, message: &str) -> String {
        let mut words = message.split(' ');
        let kind = words.next().unwrap_or_default().to_lowercase();
        let suffix = format!(".{}", self.namespace);
        let name = words.next().and_then(|name| name.strip_suffix(&suffix));
        let namespace = self.namespace;
        match name {
            Some(name) => format!(
                "if it is of this application, hand it over: kubectl annotate {kind} {name} {}=true -n {namespace}. If not, let its owner rename it: it may serve people",
                names::ADOPT
            ),
            None => format!(
                "if it is of this application, annotate it {}=true. If not, let its owner rename it: it may serve people",
                names::ADOPT
            ),
        }
    }

    /// A selector cannot be changed, so the target has to be made anew: by no means while it serves.
    fn not_apart(&self) -> String {
        let (target, status) = (self.canary.target_name(), self.canary.status.as_ref());
        let phase = status.map(|status| status.phase).unwrap_or_default();
        if matches!(phase, Phase::New | Phase::Initializing) {
            return format!(
                "Deployment {target} serves: make another one beside it, whose selector is its own, and name that: {}",
                self.edit()
            );
        }
        if status.is_some_and(|status| status.canary_weight > 0) {
            return format!(
                "send everybody to the primary first, for Deployment {target} has to be made anew: {}",
                self.verb("rollback")
            );
        }
        format!(
            "change its selector in your manifest, and put it in place of this one, which serves nobody: kubectl replace --force -f FILE -n {}",
            self.namespace
        )
    }

    /// Of a server that is newer than this plugin.
    fn unknown(&self) -> String {
        format!(
            "it ends by itself once what it says is mended; its story: kubectl describe canary {} -n {}",
            self.name, self.namespace
        )
    }
}
