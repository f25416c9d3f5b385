//! Prints `manifests/crds.yaml`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", canary_core::crd::yaml()?);
    Ok(())
}
