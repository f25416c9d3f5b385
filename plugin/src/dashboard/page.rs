//! The page's files, as they are compiled in: nothing is loaded from elsewhere.

/// A file of the page, and its type.
pub struct Asset {
    pub name: &'static str,
    pub kind: &'static str,
    pub bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

pub const INDEX: &[u8] = include_bytes!("../../page/index.html");

pub static ASSETS: &[Asset] = &[
    asset(
        "actions.js",
        SCRIPT,
        include_bytes!("../../page/actions.js"),
    ),
    asset("app.js", SCRIPT, include_bytes!("../../page/app.js")),
    asset("charts.js", SCRIPT, include_bytes!("../../page/charts.js")),
    asset("detail.js", SCRIPT, include_bytes!("../../page/detail.js")),
    asset("dom.js", SCRIPT, include_bytes!("../../page/dom.js")),
    asset(
        "icon.svg",
        "image/svg+xml",
        include_bytes!("../../page/icon.svg"),
    ),
    asset("list.js", SCRIPT, include_bytes!("../../page/list.js")),
    asset("search.js", SCRIPT, include_bytes!("../../page/search.js")),
    asset("style.css", STYLE, include_bytes!("../../page/style.css")),
    asset("theme.js", SCRIPT, include_bytes!("../../page/theme.js")),
    asset(
        "uPlot.js",
        SCRIPT,
        include_bytes!("../../page/vendor/uPlot.iife.min.js"),
    ),
    asset(
        "uPlot.css",
        STYLE,
        include_bytes!("../../page/vendor/uPlot.min.css"),
    ),
];

const fn asset(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { name, kind, bytes }
}

pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small() {
        let size = INDEX.len() + ASSETS.iter().map(|asset| asset.bytes.len()).sum::<usize>();
        assert!(size <= 300 * 1024, "{size} bytes");
    }

    fn own() -> impl Iterator<Item = (&'static str, &'static str)> {
        let assets = ASSETS
            .iter()
            .filter(|asset| !asset.name.starts_with("uPlot"))
            .map(|asset| (asset.name, asset.bytes));
        assets
            .chain([("index.html", INDEX)])
            .map(|(name, bytes)| (name, std::str::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let mut named = 0;
        for (file, text) in own() {
            for part in text.split("/assets/").skip(1) {
                let end = part
                    .find(|c: char| !c.is_alphanumeric() && c != '.')
                    .unwrap();
                assert!(
                    find(&part[..end]).is_some(),
                    "{file} names {}",
                    &part[..end]
                );
                named += 1;
            }
            for part in text.split("from \"./").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(find(name).is_some(), "{file} imports {name}");
                named += 1;
            }
        }
        assert!(named > 10, "{named}");
    }

    #[test]
    fn nothing_of_the_page_comes_from_elsewhere_or_becomes_markup() {
        for (file, text) in own() {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "style=\"",
                " onclick=",
            ] {
                assert!(!text.contains(forbidden), "{file} has {forbidden}");
            }
        }
    }
}
