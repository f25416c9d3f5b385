//! Ports while they change. Whatever leads requests to a port of a Service finds it there until it leads them
//! elsewhere. A gateway finds the pods behind a port by its name, and it sees a Service, its endpoints and a route
//! in any order: so nothing that is led to by its number is ever renamed.
//!
//! ```text
//!  the generated route names the port by its name ─► the name gets the new number, the old one stays beside it
//!  ─► the route names the new number ─► the old one goes
//! ```
//! All of it pure.

use serde_json::{Value, json};

use crate::target::declared::{self, Port};

/// The port of a Service that a backend of a route names: by a number it means TCP.
pub fn find<'a>(ports: &'a [Value], named: &Value) -> Option<&'a Value> {
    ports.iter().find(|port| {
        let by_number = named.is_number() && port["port"] == *named && protocol(port) == "TCP";
        by_number || (named.is_string() && port["name"] == *named)
    })
}

/// Whether these are the same port, whatever they are called.
pub fn is_same(one: &Value, other: &Value) -> bool {
    one["port"] == other["port"] && protocol(one) == protocol(other)
}

/// What the API server takes as the ports of one Service: each number of a protocol once, and each name once. The
/// first of two stays as it is.
pub fn apart(ports: Vec<Value>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for mut port in ports {
        if all.iter().any(|it| is_same(it, &port)) {
            continue;
        }
        let taken = |name: &str| all.iter().any(|it| it["name"] == name);
        let own = own_name(&port);
        let of_protocol = format!("{own}-{}", protocol(&port).to_lowercase());
        let counted = (2..).map(|count| format!("{own}-{count}"));
        let mut instead = [own.clone(), of_protocol].into_iter().chain(counted);
        if port["name"].as_str().is_some_and(taken)
            && let Some(name) = instead.find(|name| !taken(name))
        {
            port["name"] = json!(name);
        }
        all.push(port);
    }
    all
}

pub fn protocol(port: &Value) -> &str {
    port["protocol"].as_str().unwrap_or("TCP")
}

/// Whether one of `named` leads to the live port `old`, and would lead nowhere without it.
pub fn is_needed(old: &Value, live: &[Value], desired: &[Value], named: &[Value]) -> bool {
    let leads_there = |named: &&Value| find(live, named).is_some_and(|port| is_same(port, old));
    let mut leads = named.iter().filter(leads_there);
    leads.any(|named| find(desired, named).is_none())
}

/// What becomes of a live port that is not wanted any more, or under another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Gone,
    /// It stays as it is, and a wanted port of its name waits.
    Held,
    /// It stays as it is, and a wanted port of its name gets another meanwhile.
    First,
    /// It stays, and a wanted port of its name takes the name.
    Beside,
}

/// What is wanted, and those of the live ports that are kept with it.
pub fn with_kept(desired: &[Value], live: &[Value], keep: impl Fn(&Value) -> Keep) -> Vec<Value> {
    let mut ports = desired.to_vec();
    for old in live {
        let keep = keep(old);
        if keep == Keep::Gone {
            continue;
        }
        if let Some(port) = ports.iter_mut().find(|port| is_same(port, old)) {
            if keep != Keep::Beside {
                port["name"] = old["name"].clone();
            }
            continue;
        }
        let mut old = old.clone();
        if old["name"].as_str().is_none_or(str::is_empty) {
            old["name"] = json!(own_name(&old));
        }
        let of_its_name = |port: &Value| port["name"] == old["name"];
        match keep {
            Keep::Held => ports.retain(|port| !of_its_name(port)),
            Keep::First => {
                let named = ports.iter_mut().find(|port| of_its_name(port));
                if let Some(port) = named {
                    port["name"] = json!(own_name(port));
                }
            }
            Keep::Beside if ports.iter().any(of_its_name) => old["name"] = json!(own_name(&old)),
            Keep::Beside | Keep::Gone => {}
        }
        ports.push(old);
    }
    apart(ports)
}

/// A port that is kept leads where the first of the wanted ones does, once the pods have nothing any more that it
/// led to. `declared` is what they have.
pub fn lead_on(mut ports: Vec<Value>, wanted: &[Value], declared: &[Port]) -> Vec<Value> {
    let to = wanted.first().map(|main| main["targetPort"].clone());
    let Some(to) = to.filter(|to| declared::find(declared, to).is_some()) else {
        return ports;
    };
    let kept = |port: &&mut Value| !wanted.iter().any(|it| is_same(it, port));
    for port in ports.iter_mut().filter(kept) {
        if declared::find(declared, &port["targetPort"]).is_none() {
            port["targetPort"] = to.clone();
        }
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

/// The port that the generated route is to name. Where it names one already, it goes on until another is served:
/// by its name, once the name is about to get another number.
pub fn of_route(
    wanted: Option<&Value>,
    now: Option<&Value>,
    (spec, live): (&[Value], &[Value]),
    is_served: impl Fn(&Value) -> bool,
) -> Option<Value> {
    let (Some(wanted), Some(now)) = (wanted, now) else {
        let stays = now.map(|now| by_name(now, spec, live));
        return stays.or(wanted).cloned();
    };
    if wanted == now || is_served(wanted) {
        return Some(wanted.clone());
    }
    let number = find(spec, wanted).map(|port| &port["port"]);
    let number = number.filter(|number| *number == now || is_served(number));
    Some(number.unwrap_or_else(|| by_name(now, spec, live)).clone())
}

fn by_name<'a>(now: &'a Value, spec: &[Value], live: &'a [Value]) -> &'a Value {
    if find(spec, now).is_some() {
        return now;
    }
    let name = find(live, now).map(|port| &port["name"]);
    name.filter(|name| find(spec, name).is_some())
        .unwrap_or(now)
}

/// What a port is called whose name another one has.
pub fn own_name(port: &Value) -> String {
    format!("port-{}", port["port"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, number: i64) -> Value {
        json!({ "name": name, "protocol": "TCP", "port": number, "targetPort": 9898 })
    }

    fn kept(desired: &[Value], live: &[Value], keep: Keep) -> Vec<(String, i64)> {
        let unwanted = |old: &Value| !desired.contains(old);
        let all = with_kept(
            desired,
            live,
            |old| {
                if unwanted(old) { keep } else { Keep::Held }
            },
        );
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
    fn an_old_port_is_held_put_beside_the_new_one_or_gone() {
        let (new, old) = ([port("http", 8080)], [port("http", 80)]);
        for (keep, expected) in [
            (Keep::Held, ports(&[("http", 80)])),
            (Keep::First, ports(&[("port-8080", 8080), ("http", 80)])),
            (Keep::Beside, ports(&[("http", 8080), ("port-80", 80)])),
            (Keep::Gone, ports(&[("http", 8080)])),
        ] {
            assert_eq!(kept(&new, &old, keep), expected, "{keep:?}");
        }
        let beside = [port("http", 8080), port("port-80", 80)];
        for keep in [Keep::Held, Keep::First, Keep::Beside] {
            let both = ports(&[("http", 8080), ("port-80", 80)]);
            assert_eq!(kept(&new, &beside, keep), both, "nothing more to be done");
        }
    }

    #[test]
    fn ports_of_other_names_never_wait_for_one_another() {
        let (new, old) = ([port("web", 8080)], [port("http", 80)]);
        for keep in [Keep::Held, Keep::First, Keep::Beside] {
            let both = ports(&[("web", 8080), ("http", 80)]);
            assert_eq!(kept(&new, &old, keep), both, "{keep:?}");
        }
    }

    #[test]
    fn a_port_is_renamed_when_nothing_needs_the_old_name() {
        let (new, old) = ([port("web", 80)], [port("http", 80)]);
        assert_eq!(kept(&new, &old, Keep::Held), ports(&[("http", 80)]));
        assert_eq!(kept(&new, &old, Keep::Gone), ports(&[("web", 80)]));
    }

    #[test]
    fn a_port_without_a_name_gets_one_beside_another() {
        let old = [json!({ "port": 80 })];
        let both = ports(&[("http", 8080), ("port-80", 80)]);
        assert_eq!(kept(&[port("http", 8080)], &old, Keep::Beside), both);
    }

    #[test]
    fn a_port_is_needed_by_what_would_lead_nowhere_without_it() {
        let (new, old) = ([port("web", 8080)], [port("http", 80)]);
        let needed = |desired: &[Value], named: Value| is_needed(&old[0], &old, desired, &[named]);
        assert!(needed(&new, json!(80)) && needed(&new, json!("http")));
        assert!(!needed(&new, json!(8080)) && !needed(&new, json!("web")));
        let same_name = [port("http", 8080)];
        assert!(
            !needed(&same_name, json!("http")),
            "the name leads to the new one"
        );
        assert!(
            !needed(&[port("web", 80)], json!(80)),
            "the number is there"
        );
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
            let live = [port("admin", 80)];
            of_route(wanted, now, (&spec, &live), |port| served.contains(&port))
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

    #[test]
    fn an_old_port_that_is_kept_leads_to_what_the_pods_have_now() {
        let to = |number: i64, target: Value| json!({ "name": format!("p{number}"), "port": number, "targetPort": target });
        let has = |names: &[(&str, i64)]| -> Vec<Port> {
            let of = |(name, port): &(&str, i64)| Port {
                container: "app".to_owned(),
                index: 0,
                name: Some((*name).to_owned()),
                port: *port,
                protocol: "TCP".to_owned(),
                beside: false,
            };
            names.iter().map(of).collect()
        };
        let led = |main: Value, old: Value, declared: &[Port]| {
            let wanted = [to(8080, main)];
            let kept = vec![wanted[0].clone(), to(80, old)];
            lead_on(kept, &wanted, declared)[1]["targetPort"].clone()
        };
        let (web, http) = (has(&[("web", 9090)]), has(&[("http", 9898)]));
        assert_eq!(
            led(json!("web"), json!("http"), &web),
            "web",
            "after the promotion"
        );
        assert_eq!(led(json!(9090), json!(9898), &web), 9090);
        assert_eq!(
            led(json!("http"), json!("http"), &http),
            "http",
            "before it"
        );
        // Pods of the template before are left: the new one does not lead there yet.
        assert_eq!(led(json!("http"), json!("http"), &web), "http");
        let both = has(&[("web", 9090), ("admin", 9898)]);
        assert_eq!(
            led(json!("web"), json!("admin"), &both),
            "admin",
            "it has that"
        );
        assert_eq!(led(json!(9898), json!(8888), &[]), 8888, "nothing is known");
    }

    #[test]
    fn a_route_by_number_names_the_port_before_the_name_gets_another_number() {
        let (spec, live) = ([port("http", 8080)], [port("http", 80)]);
        let of = |wanted: Option<Value>, now: Value| {
            of_route(wanted.as_ref(), Some(&now), (&spec, &live), |_| false)
        };
        let (name, wanted) = (Some(json!("http")), Some(json!(8080)));
        assert_eq!(of(wanted.clone(), json!(80)), name);
        assert_eq!(of(None, json!(80)), name, "the user's route says 80 still");
        assert_eq!(of(wanted, json!("http")), name, "until 8080 is served");
    }
}
