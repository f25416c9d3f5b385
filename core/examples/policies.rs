//! Prints `manifests/base/canary-policies.yaml`: the template once for each enforcement.

use minijinja::{Environment, UndefinedBehavior, context};

const TEMPLATE: &str = include_str!("../../manifests/templates/canary-policies.yaml");
const HEADER: &str =
    "Generated from manifests/templates/canary-policies.yaml by `make manifests`. Do not edit.";

fn main() -> Result<(), minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let binding = |name, action| context! { name, action };
    let modes = [
        // A refusal names one policy only: that is all the API server answers. The second binding
        // says as warnings what every other policy has against the same request.
        context! {
            name => "deny", action => "Deny",
            bindings => [binding("deny", "Deny"), binding("deny-each", "Warn")],
        },
        context! { name => "warn", action => "Warn", bindings => [binding("warn", "Warn")] },
        context! { name => "audit", action => "Audit", bindings => [binding("audit", "Audit")] },
    ];
    let text = environment.render_str(TEMPLATE, context! { header => HEADER, modes })?;
    println!("{text}");
    Ok(())
}
