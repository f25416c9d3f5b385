//! Queries at admission: read, never filled in, whatever somebody sends.

use std::iter::once;

use serde_json::{Value, json};

use super::{OWN_USER, Reply, World, canary, review, update, with};

/// A `MetricTemplate` with this query.
fn template(query: &str) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "errors", "namespace": "test"},
        "spec": {"provider": {"type": "prometheus", "address": "http://p:9090"}, "query": query},
    })
}

/// A Canary that has this query in itself.
fn inline(query: &str) -> Value {
    with(&canary(), |it| {
        let range = json!({"max": 1});
        it["spec"]["analysis"]["metrics"] =
            json!([{"name": "errors", "query": query, "thresholdRange": range}]);
    })
}

fn create(object: &Value) -> Value {
    review("CREATE", "alice", None, Some(object))
}

async fn asked(review: &Value) -> Reply {
    World::of([]).serve().ask("/validate", review).await
}

fn refusal(reply: &Reply) -> String {
    assert!(!reply.allowed(), "{:?}", reply.0);
    assert_eq!(reply.0["status"]["code"], 422);
    reply.0["status"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_query_with_what_published_templates_use_is_accepted_without_a_word() {
    let query = "# of  all\nx{route=~\"{{ printf \"kube(ew)?_%s__%s\" namespace ingress }}\"}\n  / y{{ variables.code }}";
    let reply = asked(&create(&template(query))).await;
    assert_eq!((reply.allowed(), reply.warning()), (true, ""));
}

#[tokio::test]
async fn a_function_that_we_do_not_have_is_refused_with_its_name_and_line() {
    let query = "sum(\n  x{a=\"b\"}\n) * {{ toUpper namespace }}";
    let sentence = "query: line 3: function \"toUpper\" is not supported; a query can use name, ";
    let refused = refusal(&asked(&create(&template(query))).await);
    assert!(refused.contains(&format!("spec.{sentence}")), "{refused}");
    let refused = refusal(&asked(&create(&inline(query))).await);
    let field = format!("spec.analysis.metrics[0].{sentence}");
    assert!(refused.contains(&field), "{refused}");
}

/// Each killed every replica, or took hundreds of megabytes.
#[tokio::test]
async fn a_query_of_thousands_of_operators_is_refused_and_the_next_one_is_answered() {
    let server = World::of([]).serve();
    let chained = [8, 16, 32, 512].into_iter().flat_map(|kib: usize| {
        let size = kib * 1024;
        [
            format!("{{{{ {}1 }}}}", "not ".repeat(size / 4)),
            format!("{{{{ {}1 }}}}", "1~".repeat(size / 2)),
            format!("{{{{ {}1 }}}}", "(".repeat(size)),
            format!("{{{{ name{} }}}}", "|name".repeat(size / 5)),
        ]
    });
    let short = ["{{ \"a\" * 99999999 }}", "{{ printf \"%99999999s\" name }}"];
    let queries = chained
        .chain(short.map(str::to_owned))
        .chain(once("{{".repeat(100_000)));
    for query in queries {
        for object in [template(&query), inline(&query)] {
            let refused = refusal(&server.ask("/validate", &create(&object)).await);
            assert!(
                refused.contains("query: ") && refused.len() < 600,
                "{refused}"
            );
        }
    }
    let sound = create(&template("up{a=\"{{ name }}\"}"));
    assert!(server.ask("/validate", &sound).await.allowed());
}

#[tokio::test]
async fn a_query_is_not_filled_in_at_admission() {
    // Filled in, it would be longer than a query may be: which only the check can tell.
    let mut long = inline(&"{{ variables.long }}".repeat(200));
    long["spec"]["analysis"]["metrics"][0]["templateVariables"] =
        json!({"long": "x".repeat(100_000)});
    assert!(asked(&create(&long)).await.allowed());
}

#[tokio::test]
async fn what_was_wrong_with_a_template_before_may_stay_wrong() {
    let bad = template("{{ toUpper name }}");
    let labelled = with(&bad, |it| it["metadata"]["labels"] = json!({"a": "b"}));
    let reply = asked(&update("alice", &bad, &labelled)).await;
    assert!(reply.allowed());
    assert!(reply.warning().starts_with("spec.query: line 1: function"));
    let worse = template("{{ toLower name }}");
    assert!(!asked(&update("alice", &bad, &worse)).await.allowed());
    let mended = asked(&update("alice", &bad, &template("up"))).await;
    assert_eq!((mended.allowed(), mended.warning()), (true, ""));
    // What leaves is never held up, nor is what we write ourselves.
    let leaving = with(&worse, |it| {
        it["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    });
    assert!(asked(&update("alice", &bad, &leaving)).await.allowed());
    let own = review("CREATE", OWN_USER, None, Some(&worse));
    assert!(asked(&own).await.allowed());
}

#[tokio::test]
async fn a_template_for_another_metric_server_is_warned_about_as_a_flagger_may_use_it() {
    let datadog = with(&template("avg:x{a:{{ target }}}"), |it| {
        it["spec"]["provider"] = json!({"type": "datadog"});
    });
    let reply = asked(&create(&datadog)).await;
    assert!(reply.allowed(), "{:?}", reply.0);
    assert_eq!(
        reply.warning(),
        "spec.provider.type: metric provider datadog is not supported yet: use prometheus"
    );
}
