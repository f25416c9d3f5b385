//! Findings on whole files, with their lines.

use super::*;

const GOOD: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo, namespace: test}
spec:
  template:
    spec:
      containers:
        - {name: podinfod, image: 'podinfo:1', ports: [{name: http, containerPort: 9898}]}
---
apiVersion: apisix.apache.org/v2
kind: ApisixRoute
metadata: {name: podinfo, namespace: test}
spec:
  http:
    - name: all
      backends: [{serviceName: podinfo, servicePort: 80}]
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: errors, namespace: monitoring}
spec:
  provider: {type: prometheus, address: 'http://prometheus:9090'}
  query: sum(errors{code=\"{{ variables.code }}\"})
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: podinfo
  namespace: test
spec:
  provider: apisix
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  routeRef: {apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: podinfo}
  service:
    port: 80
    targetPort: http
  analysis:
    interval: 10s
    threshold: 10
    stepWeight: 10
    maxWeight: 50
    metrics:
      - name: errors
        templateRef: {name: errors, namespace: monitoring}
        templateVariables: {code: '500'}
        thresholdRange: {max: 1}
";

fn file(text: &str) -> File {
    File {
        name: "app.yaml".to_owned(),
        text: text.to_owned(),
        named: true,
    }
}

fn report(text: &str) -> Report {
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let context = Context {
        provider: "apisix",
        now,
    };
    lint(&[file(text)], &context)
}

/// `line: path: message`, with a mark for warnings.
fn said(text: &str) -> Vec<String> {
    let line = |it: &Finding| {
        let mark = match it.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        format!("{}: {}: {mark}{}", it.line, it.path, it.message)
    };
    report(text).items.iter().map(line).collect()
}

/// The good files with one text in the place of another.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    said(&GOOD.replacen(from, to, 1))
}

#[test]
fn files_that_fit_together_are_clean() {
    let report = report(GOOD);
    assert_eq!(report.items, []);
    assert_eq!((report.checked, report.others), (2, 2));
}

/// A text, what stands in its place, and what is found then.
const EACH: [(&str, &str, &[&str]); 10] = [
    (
        "    stepWeight: 10",
        "    stepweight: 10",
        &[
            "37: spec.analysis: no strategy: give stepWeight or stepWeights for a canary, or iterations for blue/green",
            "40: spec.analysis.stepweight: unknown field: did you mean stepWeight?",
        ],
    ),
    (
        "    maxWeight: 50",
        "    maxWeight: 5",
        &["40: spec.analysis.stepWeight: 10 is more than maxWeight 5"],
    ),
    (
        "    maxWeight: 50",
        "    maxWeight: '50'",
        &["41: spec.analysis.maxWeight: must be an integer, without quotes; it is a string"],
    ),
    (
        "provider: apisix",
        "provider: istio",
        &["31: spec.provider: provider istio is not supported yet: use apisix, kubernetes"],
    ),
    (
        "    threshold: 10\n",
        "    threshold: 10\n    threshold: 5\n",
        &["40: : key \"threshold\" is given twice: keep one"],
    ),
    (
        "kind: Canary",
        "kind: Cannary",
        &[
            "26: kind: flagger.app has no kind \"Cannary\": use one of Canary, MetricTemplate, AlertProvider",
        ],
    ),
    (
        "flagger.app/v1beta1\nkind: Canary",
        "flagger.app/v1alpha3\nkind: Canary",
        &["25: apiVersion: flagger.app/v1alpha3 is not served: write flagger.app/v1beta1"],
    ),
    (
        "query: sum(",
        "query: ''\n  other: sum(",
        &[
            "24: spec.other: unknown field: the API server drops or refuses it",
            "23: spec.query: must not be empty",
        ],
    ),
    (
        "query: sum(",
        "query: 2 * {{ toUpper name }} + sum(",
        &[
            "23: spec.query: line 1: function \"toUpper\" is not supported; a query can use name, namespace, target, service, ingress, route, interval, variables.KEY with a key of templateVariables, index and printf",
        ],
    ),
    (
        "kind: Canary\n",
        "",
        &["25: : is no Kubernetes object: it needs apiVersion and kind"],
    ),
];

#[test]
fn each_finding_stands_at_its_line() {
    for (from, to, expected) in EACH {
        let mut expected: Vec<String> = expected.iter().map(|it| (*it).to_owned()).collect();
        let mut found = changed(from, to);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{to}");
    }
}

#[test]
fn what_is_referred_to_has_to_be_there_where_others_of_its_kind_are() {
    let table = [
        (
            "kind: Deployment, name: podinfo",
            "kind: Deployment, name: backend",
            "32: spec.targetRef.name: warning: Deployment backend is not in these files",
        ),
        (
            "kind: ApisixRoute, name: podinfo",
            "kind: ApisixRoute, name: other",
            "33: spec.routeRef.name: warning: ApisixRoute other is not in these files",
        ),
        (
            "{serviceName: podinfo,",
            "{serviceName: other,",
            "14: spec.http: warning: no rule has Service podinfo as its backend, which is what Canary podinfo releases",
        ),
        (
            "targetPort: http",
            "targetPort: web",
            "36: spec.service.targetPort: warning: Deployment podinfo has no port named \"web\": it has http",
        ),
        (
            "templateRef: {name: errors, namespace: monitoring}",
            "templateRef: {name: errors}",
            "44: spec.analysis.metrics[0].templateRef.name: warning: MetricTemplate errors is not in these files",
        ),
        (
            "spec:\n  template:",
            "spec:\n  replicas: 2\n  template:",
            "5: spec.replicas: warning: Canary podinfo scales the target: leave replicas out, or each apply starts pods that nobody uses",
        ),
        (
            "spec:\n  template:",
            "spec:\n  strategy: {type: Recreate}\n  template:",
            "5: spec.strategy.type: Canary podinfo would be refused: Recreate stops every pod before the new ones run; use RollingUpdate",
        ),
    ];
    for (from, to, expected) in table {
        assert!(
            changed(from, to).contains(&expected.to_owned()),
            "{expected}\n{:#?}",
            changed(from, to)
        );
    }
    let without = changed("        templateVariables: {code: '500'}\n", "");
    assert_eq!(without.len(), 1, "{without:?}");
    assert!(without[0].starts_with("43: spec.analysis.metrics[0].templateVariables: MetricTemplate errors: line 1: unknown variable variables.code;"), "{without:?}");
}

#[test]
fn a_canary_alone_is_not_asked_for_what_lies_elsewhere() {
    let (_, canary) = GOOD.rsplit_once("---\n").unwrap();
    assert_eq!(said(canary), [""; 0]);
}

#[test]
fn a_service_is_asked_for_the_port_and_two_canaries_for_their_target() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: podinfo}\nspec: {ports: [{port: 8080}]}\n";
    assert_eq!(
        said(&format!("{GOOD}{service}")),
        ["35: spec.service.port: warning: Service podinfo has no port 80: it has 8080"]
    );
    let (_, canary) = GOOD.rsplit_once("---\n").unwrap();
    let second = canary.replacen("  name: podinfo\n", "  name: second\n", 1);
    assert_eq!(
        said(&format!("{GOOD}---\n{second}")),
        [
            "55: spec.targetRef.name: Deployment podinfo is the target of Canary podinfo too: only the older one would act"
        ]
    );
    // In another namespace it is another Deployment.
    let elsewhere = second.replacen("namespace: test", "namespace: prod", 1);
    assert!(said(&format!("{canary}---\n{elsewhere}")).is_empty());
}

#[test]
fn what_finds_the_targets_pods_alone_is_named_with_what_to_add() {
    let selecting = GOOD.replacen(
        "spec:\n  template:\n    spec:",
        "spec:\n  selector: {matchLabels: {app: podinfo}}\n  template:\n    metadata: {labels: {app: podinfo}}\n    spec:",
        1,
    );
    let others = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow, namespace: test}
spec: {podSelector: {matchLabels: {app: podinfo}}}
---
apiVersion: v1
kind: Service
metadata: {name: podinfo-grpc, namespace: test}
spec: {selector: {app: podinfo}, ports: [{port: 9999}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: elsewhere, namespace: prod}
spec: {podSelector: {matchLabels: {app: podinfo}}}
";
    let found = said(&format!("{selecting}{others}"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("NetworkPolicy allow is for the pods of podinfo and not those of podinfo-primary: select both"),
        "{found:#?}"
    );
    assert!(
        found[1].contains("Service podinfo-grpc leads to the pods of podinfo alone")
            && found[1].contains("kubectl-canary.dev/follow=primary"),
        "{found:#?}"
    );
}

#[test]
fn a_policy_is_read_as_the_server_reads_it() {
    let policy = "\
apiVersion: policy.kubectl-canary.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: prod}
spec:
  images:
    allowedRegistries: [registry.example.com]
  release:
    freezeWindows:
      - name: weekend
        schedule: '0 18 * * 5'
        duration: 62h
        timeZone: Europe/Atlantis
      - name: always
        schedule: '0 0 * * *'
        duration: 24h
      - name: past
        start: '2020-01-01T00:00:00Z'
        end: '2020-01-02T00:00:00Z'
      - name: never
        schedule: '0 0 30 2 *'
        duration: 1h
";
    insta::assert_snapshot!(said(policy).join("\n"));
}

#[test]
fn what_is_no_yaml_is_an_error_with_a_line_and_a_template_is_recognized() {
    let found = said("a: [1\nb: 2\n");
    assert!(found[0].contains("is no YAML: "), "{found:?}");
    let found = said("metadata:\n  name: {{ .Values.name }}\n  labels:\n{{ toYaml . }}\n");
    assert!(found[0].contains("helm template"), "{found:?}");
}

#[test]
fn other_things_in_a_directory_are_passed_over() {
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let context = Context {
        provider: "apisix",
        now,
    };
    let values = File {
        named: false,
        ..file("replicas: 1\n---\n- 1\n---\nplain text\n")
    };
    let report = lint(&[values], &context);
    assert_eq!(
        (report.items.len(), report.checked, report.others),
        (0, 0, 0)
    );
}

#[test]
fn the_machine_output_is_versioned_and_stable() {
    let text = GOOD.replacen("    maxWeight: 50", "    maxWeight: 5\n    banana: 1", 1);
    let report =
        report(&text.replacen("name: podinfo}\n  routeRef", "name: other}\n  routeRef", 1));
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
    let log = sarif::log(&report);
    insta::assert_snapshot!(
        "sarif",
        serde_json::to_string_pretty(&log)
            .unwrap()
            .replace(env!("CARGO_PKG_VERSION"), "VERSION")
    );
}
