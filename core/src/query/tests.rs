use super::*;

const SEED: &str = include_str!("../../../tests/seed/not-found-percentage.yaml");

fn model() -> QueryModel {
    QueryModel {
        name: "podinfo".into(),
        namespace: "test".into(),
        target: "podinfo".into(),
        service: "podinfo-web".into(),
        ingress: "podinfo-ingress".into(),
        route: "podinfo-route".into(),
        interval: "1m".into(),
        variables: BTreeMap::from([("code".to_owned(), "404".to_owned())]),
    }
}

fn rendered(template: &str) -> String {
    render(template, &model()).unwrap()
}

fn nodes(addresses: &[&str]) -> Scope {
    Scope::Nodes(
        addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect(),
    )
}

#[test]
fn every_name_of_the_model_can_be_used() {
    assert_eq!(
        rendered(
            "{{ name }} {{ namespace }} {{ target }} {{ service }} {{ ingress }} {{ route }} {{ interval }} {{ variables.code }}"
        ),
        "podinfo test podinfo podinfo-web podinfo-ingress podinfo-route 1m 404"
    );
}

#[test]
fn spaces_around_a_name_do_not_matter_and_dashes_trim() {
    assert_eq!(rendered("a{{namespace}}b"), "atestb");
    assert_eq!(rendered("a {{- namespace -}} b"), "atestb");
    assert_eq!(rendered("a {{ namespace }} b"), "a test b");
}

/// Folded into one line, the first two lose all behind `#`, and the third asks for another label.
#[test]
fn comments_lines_and_spaces_are_kept_as_they_were_written() {
    for template in [
        "# share of errors\nsum(rate(x{app=\"{{ target }}\"}[1m]))\n",
        "sum(rate(x[1m])) # {{ target }}\n  / sum(rate(y[1m]))",
        "x{path=\"a  {{ target }}\", other=`b\n\tc`}\r\n",
        "\n  sum(\n\t\tx{a=\"{{ target }}\"}\n  )  \n",
    ] {
        assert_eq!(
            rendered(template),
            template.replace("{{ target }}", "podinfo")
        );
    }
}

#[test]
fn braces_of_promql_are_text() {
    assert_eq!(
        rendered(r#"x{a="b",c=~"{%.+%}"}[5m]"#),
        r#"x{a="b",c=~"{%.+%}"}[5m]"#
    );
    assert_eq!(rendered("x{#}y"), "x{#}y");
    assert_eq!(rendered(r#"x{a="{{ target }}"}"#), r#"x{a="podinfo"}"#);
}

#[test]
fn nothing_is_escaped() {
    let mut model = model();
    model
        .variables
        .insert("match".into(), r#"<a & "b">"#.into());
    assert_eq!(
        render("{{ variables.match }}", &model).unwrap(),
        r#"<a & "b">"#
    );
}

#[test]
fn the_users_template_is_sent_as_it_is_written_but_for_the_names() {
    let object: serde_json::Value = serde_yaml::from_str(SEED).unwrap();
    let template = object["spec"]["query"].as_str().unwrap();
    let query = rendered(template);
    assert_eq!(query.lines().count(), template.lines().count());
    let folded: Vec<&str> = query.split_whitespace().collect();
    assert_eq!(
        folded.join(" "),
        "sum( rate( apisix_http_status{ route=~\"test_podinfo-route-podinfo-canary_.+\", code!~\"4..\" }[1m] ) ) \
         / sum( rate( apisix_http_status{ route=~\"test_podinfo-route-podinfo-canary_.+\" }[1m] ) ) * 100"
    );
}

#[test]
fn the_mixed_checks_are_flaggers_with_the_name_of_the_target() {
    assert_eq!(
        builtin(SUCCESS_RATE, "apisix", &model(), &Scope::Mixed).unwrap(),
        "sum( rate( apisix_http_status{ route=~\"test_podinfo-route-podinfo-canary_.+\", code!~\"5..\" }[1m] ) ) \
         / sum( rate( apisix_http_status{ route=~\"test_podinfo-route-podinfo-canary_.+\" }[1m] ) ) * 100"
    );
    assert_eq!(
        builtin(DURATION, "apisix", &model(), &Scope::Mixed).unwrap(),
        "histogram_quantile( 0.99, sum( rate( apisix_http_latency_bucket{ type=~\"request\", \
         route=~\"test_podinfo-route-podinfo-canary_.+\" }[1m] ) ) by (le) )"
    );
}

#[test]
fn the_canarys_success_rate_counts_its_own_nodes_and_the_gateways_own_failures() {
    assert_eq!(
        builtin(
            SUCCESS_RATE,
            "apisix",
            &model(),
            &nodes(&["10.244.0.5", "10.244.0.6"])
        )
        .unwrap(),
        r#"(sum(rate(apisix_http_status{route=~"test_podinfo-route-podinfo-web-canary_.+",node=~"10\\.244\\.0\\.5|10\\.244\\.0\\.6",code!~"5.."}[1m])) or vector(0)) / (sum(rate(apisix_http_status{route=~"test_podinfo-route-podinfo-web-canary_.+",node=~"10\\.244\\.0\\.5|10\\.244\\.0\\.6"}[1m]) or rate(apisix_http_status{route=~"test_podinfo-route-podinfo-web-canary_.+",node="",code=~"5.."}[1m])) > 0) * 100"#
    );
}

#[test]
fn the_canarys_duration_counts_its_own_nodes() {
    assert_eq!(
        builtin(DURATION, "apisix", &model(), &nodes(&["fd00::5"])).unwrap(),
        r#"histogram_quantile(0.99, sum(rate(apisix_http_latency_bucket{type=~"request",route=~"test_podinfo-route-podinfo-web-canary_.+",node=~"fd00::5"}[1m])) by (le))"#
    );
}

#[test]
fn without_an_address_no_node_is_counted_and_never_the_empty_one() {
    for name in [SUCCESS_RATE, DURATION] {
        let query = builtin(name, "apisix", &model(), &nodes(&[])).unwrap();
        assert!(query.contains(r#"node="none""#), "{query}");
        assert!(!query.contains("node=~"), "{query}");
    }
}

#[test]
fn what_means_something_in_a_regular_expression_is_taken_literally() {
    let mut model = model();
    model.route = "a.b".into();
    let query = builtin(DURATION, "apisix", &model, &nodes(&[r#"x"\.+y"#])).unwrap();
    assert!(
        query.contains(r#"route=~"test_a\\.b-podinfo-web-canary_.+""#),
        "{query}"
    );
    assert!(query.contains(r#"node=~"x\"\\\\\\.\\+y""#), "{query}");
}

#[test]
fn the_kubernetes_checks_find_the_pods_by_the_name_of_the_target() {
    let query = builtin(SUCCESS_RATE, "kubernetes", &model(), &nodes(&["10.0.0.1"])).unwrap();
    assert_eq!(
        query,
        "sum( rate( http_request_duration_seconds_count{ kubernetes_namespace=\"test\", \
         kubernetes_pod_name=~\"podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\", status!~\"5.*\" }[1m] ) ) \
         / sum( rate( http_request_duration_seconds_count{ kubernetes_namespace=\"test\", \
         kubernetes_pod_name=~\"podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\" }[1m] ) ) * 100"
    );
    let query = builtin(DURATION, "kubernetes", &model(), &Scope::Mixed).unwrap();
    assert!(
        query.starts_with(
            "histogram_quantile( 0.99, sum( rate( http_request_duration_seconds_bucket{"
        )
    );
}

#[test]
fn there_are_no_other_checks() {
    assert_eq!(builtin("latency", "apisix", &model(), &Scope::Mixed), None);
    assert_eq!(
        builtin(SUCCESS_RATE, "istio", &model(), &Scope::Mixed),
        None
    );
}
