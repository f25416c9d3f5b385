//! Ports while they change. Whatever leads requests to a port of a Service finds it there until it leads them
//! elsewhere:
//!
//! ```text
//!  Services get the new port beside the old ─► the route names the new one ─► the old one goes
//! ```
//! A route names a port by its number or by its name. All of it pure.

use serde_json::{Value, json};

/// The port of a Service that a backend of a route names.
pub fn find<'a>(ports: &'a [Value], named: &Value) -> Option<&'a Value> {
    ports.iter().find(|port| {
        let by_number = named.is_number() && port["port"] == *named;
        by_number || (named.is_string() && port["name"] == *named)
    })
}

/// Whether these are the same port, whatever they are called.
pub fn is_same(one: &Value, other: &Value) -> bool {
    let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
    one["port"] == other["port"] && protocol(one) == protocol(other)
}

/// Whether one of `named` leads to the live port `old`, and would lead nowhere without it.
pub fn is_needed(old: &Value, live: &[Value], desired: &[Value], named: &[Value]) -> bool {
    let leads_there = |named: &&Value| find(live, named).is_some_and(|port| is_same(port, old));
    let mut leads = named.iter().filter(leads_there);
    leads.any(|named| find(desired, named).is_none())
}

/// What is wanted, and those of the live ports that are kept beside it. A kept port keeps its name, by which its
/// endpoints are found; a new one of that name gets another until then.
pub fn with_kept(desired: &[Value], live: &[Value], keeps: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut ports = desired.to_vec();
    for old in live.iter().filter(|old| keeps(old)) {
        if let Some(port) = ports.iter_mut().find(|port| is_same(port, old)) {
            port["name"] = old["name"].clone();
            continue;
        }
        let mut old = old.clone();
        if old["name"].as_str().is_none_or(str::is_empty) {
            old["name"] = json!(own_name(&old));
        }
        for port in ports.iter_mut().filter(|port| port["name"] == old["name"]) {
            port["name"] = json!(own_name(port));
        }
        ports.push(old);
    }
    ports
}

/// How a generated route may name what the user's route names: the same, if the generated Services have it; or
/// by the number that it stands for in the user's own Service.
pub fn translated(named: &Value, spec: &[Value], apex: &[Value]) -> Option<Value> {
    if find(spec, named).is_some() {
        return Some(named.clone());
    }
    let number = find(apex, named)?["port"].clone();
    find(spec, &number).is_some().then_some(number)
}

/// The port that the generated route names now. Where it names one already, it goes on until another is served.
pub fn of_route(
    wanted: Option<&Value>,
    now: Option<&Value>,
    spec: &[Value],
    is_served: impl Fn(&Value) -> bool,
) -> Option<Value> {
    let (Some(wanted), Some(now)) = (wanted, now) else {
        return now.or(wanted).cloned();
    };
    if wanted == now || is_served(wanted) {
        return Some(wanted.clone());
    }
    let number = find(spec, wanted).map(|port| &port["port"]);
    let number = number.filter(|number| *number == now || is_served(number));
    Some(number.unwrap_or(now).clone())
}

fn own_name(port: &Value) -> String {
    format!("port-{}", port["port"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, number: i64) -> Value {
        json!({ "name": name, "protocol": "TCP", "port": number, "targetPort": 9898 })
    }

    fn kept(desired: &[Value], live: &[Value], named: &[Value]) -> Vec<(String, i64)> {
        let keeps = |old: &Value| is_needed(old, live, desired, named);
        let all = with_kept(desired, live, keeps);
        let shown = |port: &Value| {
            let name = port["name"].as_str().unwrap_or_default();
            (name.to_owned(), port["port"].as_i64().unwrap_or(0))
        };
        all.iter().map(shown).collect()
    }

    fn ports(all: &[(&str, i64)]) -> Vec<(String, i64)> {
        let all = all.iter();
        all.map(|(name, number)| ((*name).to_owned(), *number))
            .collect()
    }

    #[test]
    fn the_old_port_stays_beside_the_new_one_while_it_is_named_by_number() {
        let (new, old) = ([port("http", 8080)], [port("http", 80)]);
        let both = ports(&[("port-8080", 8080), ("http", 80)]);
        assert_eq!(kept(&new, &old, &[json!(80)]), both);
        let live = [port("port-8080", 8080), port("http", 80)];
        assert_eq!(kept(&new, &live, &[json!(80), json!(8080)]), both);
        let done = ports(&[("http", 8080)]);
        assert_eq!(kept(&new, &live, &[json!(8080)]), done);
    }

    #[test]
    fn a_name_that_the_new_port_has_leads_there_at_once() {
        let (new, old) = ([port("web", 8080)], [port("web", 80)]);
        assert_eq!(kept(&new, &old, &[json!("web")]), ports(&[("web", 8080)]));
        let both = ports(&[("port-8080", 8080), ("web", 80)]);
        assert_eq!(kept(&new, &old, &[json!("web"), json!(80)]), both);
    }

    #[test]
    fn a_port_is_not_renamed_while_it_is_named_by_the_old_name() {
        let (new, old) = ([port("web", 80)], [port("http", 80)]);
        assert_eq!(kept(&new, &old, &[json!("http")]), ports(&[("http", 80)]));
        assert_eq!(kept(&new, &old, &[json!(80)]), ports(&[("web", 80)]));
    }

    #[test]
    fn what_nobody_names_is_not_kept() {
        let new = [port("http", 80)];
        let live = [port("http", 80), port("grpc", 9999)];
        assert_eq!(kept(&new, &live, &[json!(80)]), ports(&[("http", 80)]));
        let named = [json!(80), json!("grpc")];
        let both = ports(&[("http", 80), ("grpc", 9999)]);
        assert_eq!(kept(&new, &live, &named), both);
    }

    #[test]
    fn a_port_without_a_name_gets_one_beside_another() {
        let old = [json!({ "port": 80 })];
        let both = ports(&[("http", 8080), ("port-80", 80)]);
        assert_eq!(kept(&[port("http", 8080)], &old, &[json!(80)]), both);
    }

    #[test]
    fn a_name_of_the_users_own_service_stands_for_its_number() {
        let spec = [port("http", 80)];
        let apex = [port("web", 80), port("admin", 81)];
        assert_eq!(translated(&json!(80), &spec, &apex), Some(json!(80)));
        assert_eq!(
            translated(&json!("http"), &spec, &apex),
            Some(json!("http"))
        );
        assert_eq!(translated(&json!("web"), &spec, &apex), Some(json!(80)));
        assert_eq!(translated(&json!("admin"), &spec, &apex), None);
        assert_eq!(translated(&json!(81), &spec, &apex), None);
    }

    #[test]
    fn the_route_follows_when_the_port_is_served_and_never_to_nothing() {
        let spec = [port("web", 8080)];
        let (old, new, name) = (json!(80), json!(8080), json!("web"));
        let of = |wanted: Option<&Value>, now: Option<&Value>, served: &[&Value]| {
            of_route(wanted, now, &spec, |port| served.contains(&port))
        };
        assert_eq!(of(Some(&new), Some(&old), &[]), Some(json!(80)));
        assert_eq!(of(Some(&new), Some(&old), &[&new]), Some(json!(8080)));
        assert_eq!(of(Some(&name), Some(&old), &[&new]), Some(json!(8080)));
        assert_eq!(of(Some(&name), Some(&new), &[]), Some(json!(8080)));
        assert_eq!(of(Some(&name), Some(&new), &[&name]), Some(json!("web")));
        assert_eq!(of(None, Some(&old), &[&new]), Some(json!(80)));
        assert_eq!(of(Some(&new), None, &[]), Some(json!(8080)), "the first");
        assert_eq!(
            of(Some(&new), Some(&new), &[]),
            Some(json!(8080)),
            "no change"
        );
    }
}
