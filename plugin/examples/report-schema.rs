//! Prints `docs/canary-report.schema.json`.

fn main() -> Result<(), serde_json::Error> {
    let schema = kubectl_canary::report::schema::schema();
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
