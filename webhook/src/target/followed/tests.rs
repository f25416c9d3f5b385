use super::*;

/// What a template declares: names and numbers, in one container.
type Declared<'a> = &'a [(&'a str, i64)];

const HTTP: Declared<'_> = &[("http", 9898)];
const WEB: Declared<'_> = &[("web", 9898)];
const MOVED: Declared<'_> = &[("web", 8080)];

fn declares(ports: Declared<'_>) -> Vec<Port> {
    let ports = ports.iter().enumerate();
    ports
        .map(|(index, (name, port))| Port {
            container: "app".to_owned(),
            index,
            name: (!name.is_empty()).then(|| (*name).to_owned()),
            port: *port,
            protocol: "TCP".to_owned(),
            beside: false,
        })
        .collect()
}

/// A primary of that many wanted pods, with so many pods, so many of its template, and so many ready ones.
fn primary(ports: Declared<'_>, [desired, replicas, updated, ready]: [i32; 4]) -> Deployment {
    let counts = Counts {
        desired,
        replicas,
        updated,
        ready,
        available: ready,
        ..Counts::default()
    };
    Deployment {
        ports: declares(ports),
        counts,
        ..Deployment::default()
    }
}

fn at_rest(ports: Declared<'_>) -> Deployment {
    primary(ports, [4, 4, 4, 4])
}

fn port(port: i64, target_port: &Value) -> Value {
    json!({ "name": "http", "protocol": "TCP", "port": port, "targetPort": target_port })
}

/// The targetPort of a Service's only port.
fn of(spec: &Value, live: &Value, target: Declared<'_>, primary: &Deployment) -> Value {
    let (ports, declared) = ([port(80, spec)], declares(target));
    let wanted = Wanted {
        ports: &ports,
        by_primary: &ports,
        declared: &declared,
        discovers: false,
    };
    let live: Vec<Value> = Some(live)
        .filter(|live| !live.is_null())
        .map(|live| port(80, live))
        .into_iter()
        .collect();
    let once = followed(wanted, &live, primary);
    assert_eq!(followed(wanted, &once, primary), once, "it is stable");
    once[0]["targetPort"].clone()
}

/// What a word of a table below stands for.
fn template(word: &str) -> Declared<'static> {
    match word {
        "http" => HTTP,
        "web" => WEB,
        "moved" => MOVED,
        "both" => &[("http", 9898), ("web", 8080)],
        "metrics" => &[("metrics", 9797)],
        _ => &[],
    }
}

fn named(word: &str) -> Value {
    if word == "-" {
        return Value::Null;
    }
    word.parse::<i64>()
        .map_or_else(|_| json!(word), Value::from)
}

/// Rows of spec, live, target's template, primary's template and what is expected, with all pods of a primary
/// of its template.
fn assert_rows(rows: &[&str]) {
    for row in rows {
        let words: Vec<&str> = row.split_whitespace().take(5).collect();
        let [spec, live, target, primary, expected] = words[..] else {
            panic!("{row}");
        };
        let primary = at_rest(template(primary));
        let found = of(&named(spec), &named(live), template(target), &primary);
        assert_eq!(found, named(expected), "{row}");
    }
}

#[test]
fn the_primary_is_led_to_by_its_old_name_until_its_own_pods_have_the_new_one() {
    assert_rows(&[
        "web  http web   http    9898  one apply renames it: both names are of one number",
        "web  9898 web   http    9898  and once more",
        "web  9898 web   web     web   promoted",
        "web  http moved http    http  one apply, another number",
        "web  http moved moved   web   promoted",
        "web  http http  http    http  the Canary before the Deployment",
        "http http web   http    http  the Deployment before the Canary",
        "web  http both  both    web   the template declares it already",
        "http 9898 http  http    http  given up",
        "web  http http  metrics web   nobody has either",
    ]);
}

#[test]
fn the_primary_is_led_to_by_its_old_number_while_only_the_new_template_has_another() {
    assert_rows(&[
        "8080 9898 moved http    9898  one apply",
        "8080 9898 http  http    9898  the Canary before the Deployment",
        "8080 9898 moved moved   8080  promoted",
        "8080 9898 both  both    8080  the template declares it already",
        "9898 http http  http    9898  the number that the name has",
        "8080 http moved http    http  a number for a name",
        "8080 http moved metrics 8080  the name is of nobody",
        "web  9898 moved http    9898  a name for a number",
        "web  9898 moved metrics 9898  a number may serve that is not declared",
        "8080 9898 none  none    8080  nothing is declared, and nothing known",
        "8080 9898 -     metrics 8080  neither is declared",
        "8080 9898 moved metrics 9898  the target's template brings it",
        "9898 9898 http  metrics 9898  one that was never declared",
    ]);
}

#[test]
fn where_no_pod_has_the_name_what_stands_for_it_in_the_primary_is_led_to() {
    assert_rows(&[
        "web  -    web   http    9898  a Service that is made anew",
        "web  -    moved http    http  the same, other numbers",
        "web  -    web   web     web   the same at rest",
        "web  web  web   http    9898  a promotion that was taken back",
        "web  web  moved http    http  the same, other numbers",
    ]);
}

#[test]
fn of_two_names_the_new_one_is_taken_when_it_finds_as_many_ready_pods() {
    let rolling = |counts| {
        let found = of(
            &json!("web"),
            &json!("http"),
            MOVED,
            &primary(MOVED, counts),
        );
        found == "web"
    };
    for (counts, follows) in [
        ([1, 2, 1, 1], false),
        ([1, 2, 1, 2], true),
        ([2, 3, 1, 3], false),
        ([2, 3, 2, 3], true),
        // As many pods at once: all are updated, and none of them is ready.
        ([4, 8, 4, 4], false),
        ([4, 8, 4, 7], false),
        ([4, 6, 4, 4], true),
        ([4, 5, 1, 5], false),
        ([4, 5, 4, 4], true),
        ([0, 0, 0, 0], true),
        // Whatever is lost by it is lost already.
        ([1, 1, 1, 0], true),
    ] {
        assert_eq!(rolling(counts), follows, "{counts:?}");
    }
    let mut unseen = primary(MOVED, [1, 1, 1, 1]);
    unseen.counts.generation = 2;
    let found = of(&json!("web"), &json!("http"), MOVED, &unseen);
    assert_eq!(found, "http", "these are the pods of the template before");
}

#[test]
fn a_number_stays_until_no_pod_of_the_template_before_is_left() {
    let rolling = |spec: Value, template, counts| {
        of(&spec, &json!(9898), template, &primary(template, counts))
    };
    for counts in [[4, 8, 4, 8], [4, 5, 4, 4], [1, 2, 1, 2]] {
        assert_eq!(rolling(json!("web"), WEB, counts), 9898, "{counts:?}");
        assert_eq!(rolling(json!(8080), MOVED, counts), 9898, "{counts:?}");
    }
    assert_eq!(rolling(json!("web"), WEB, [4, 4, 4, 4]), "web");
    assert_eq!(rolling(json!(8080), MOVED, [4, 4, 4, 4]), 8080);
}

#[test]
fn while_a_promotion_is_taken_back_the_name_stays_that_most_pods_have() {
    let back = |counts| of(&json!("web"), &json!("web"), MOVED, &primary(HTTP, counts));
    assert_eq!(back([4, 5, 1, 5]), "web");
    assert_eq!(back([4, 5, 3, 5]), "http");
}

#[test]
fn a_port_of_another_number_goes_on_to_where_the_old_one_leads() {
    let (ports, declared) = ([port(8080, &json!(8080))], declares(MOVED));
    let wanted = Wanted {
        ports: &ports,
        by_primary: &ports,
        declared: &declared,
        discovers: false,
    };
    let live = [port(80, &json!(9898))];
    assert_eq!(
        followed(wanted, &live, &at_rest(HTTP))[0],
        port(8080, &json!(9898))
    );
    assert_eq!(
        followed(wanted, &live, &at_rest(MOVED))[0],
        port(8080, &json!(8080))
    );
}

fn discovered(name: &str, number: i64) -> Value {
    json!({ "name": name, "protocol": "TCP", "port": number, "targetPort": number })
}

#[test]
fn discovered_ports_are_those_of_the_primary_until_no_pod_of_the_template_before_is_left() {
    let main = |target_port: Value| port(80, &target_port);
    let (old, new) = (discovered("metrics", 9797), discovered("metrics", 9796));
    let spec = [main(json!("web")), new.clone()];
    let declared = declares(&[("web", 9898), ("metrics", 9796)]);
    let look = |live: &[Value], by_primary: &[Value], primary: &Deployment| {
        let wanted = Wanted {
            ports: &spec,
            by_primary,
            declared: &declared,
            discovers: true,
        };
        let found = followed(wanted, live, primary);
        assert_eq!(followed(wanted, &found, primary), found, "it is stable");
        found
    };
    let template = &[("http", 9898), ("metrics", 9797)][..];
    // By the spec's name alone, `http` is one more port of the primary's template.
    let by_primary = [spec[0].clone(), discovered("http", 9898), old.clone()];
    let live = [main(json!("http")), old.clone()];
    let before = look(&live, &by_primary, &at_rest(template));
    assert_eq!(before, [main(json!(9898)), old]);
    assert_eq!(
        not_yet(&spec, &before),
        [
            "spec.service.targetPort web",
            "spec.service.portDiscovery 9796"
        ]
    );
    let template = &[("web", 9898), ("metrics", 9796)][..];
    let rolling = primary(template, [4, 5, 3, 4]);
    assert_eq!(look(&before, &spec, &rolling), before);
    let after = look(&before, &spec, &at_rest(template));
    assert_eq!(after, spec);
    assert!(not_yet(&spec, &after).is_empty());
}
