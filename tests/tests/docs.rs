//! The commands of the README and of `docs/`, typed as a person would, and what they print beside what the
//! pages say that they print.
//!
//! ```text
//!  README.md, docs/*.md ─► canary_tests::docs ─► commands ─┬─► elsewhere: cannot be run here, and why
//!                                                          └─► Shell: bash, kubectl, the plugin
//!  pages about releases      one control plane and server for all, a namespace for each
//!  pages about installing    a control plane without anything, one page after the other
//! ```
//!
//! Every page is found by itself, and a command that no table names is run. In a page its namespace is called
//! `test`, and its interval may be what suits people: here time passes faster.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "docs/bare.rs"]
mod bare;
#[path = "docs/elsewhere.rs"]
mod elsewhere;
#[path = "docs/shell.rs"]
mod shell;
#[path = "docs/world.rs"]
mod world;

use std::path::Path;

use anyhow::{Context, Result};
use canary_tests::docs::{Command, commands, mentions};
use canary_tests::plugin::plugin;
use canary_tests::tools::folder;
use futures::future::join_all;

use crate::bare::Bare;
use crate::elsewhere::ELSEWHERE;
use crate::world::World;

/// A page, or the part of it that is played in one place.
#[derive(Clone, Debug)]
pub struct Page {
    /// As it is seen from the project's folder.
    pub file: String,
    /// What the plugin is told in sentences and tables.
    mentions: Vec<Vec<String>>,
    pub commands: Vec<Command>,
}

/// What is about installing: a page, and the section; all of it if empty.
const INSTALLING: [(&str, &str); 3] = [
    ("README.md", "Install"),
    ("docs/install.md", ""),
    ("docs/migration.md", ""),
];

// === impl Page ===

impl Page {
    fn read(file: String) -> Result<Self> {
        let text = std::fs::read_to_string(folder(&file))?;
        let commands = commands(&text).map_err(|error| anyhow::anyhow!("{file}: {error}"))?;
        Ok(Self {
            file,
            mentions: mentions(&text, "kubectl canary"),
            commands,
        })
    }

    /// The README, and every page of `docs/`.
    fn all() -> Result<Vec<Self>> {
        let mut files = vec!["README.md".to_owned()];
        for entry in std::fs::read_dir(folder("docs"))? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let stem = name.strip_suffix(".md");
            files.extend(stem.map(|stem| format!("docs/{stem}.md")));
        }
        files.sort();
        files.into_iter().map(Self::read).collect()
    }

    /// What is left of it with these commands only.
    fn only(&self, wanted: impl Fn(&Command) -> bool) -> Option<Self> {
        let commands: Vec<_> = self
            .commands
            .iter()
            .filter(|it| wanted(it))
            .cloned()
            .collect();
        (!commands.is_empty()).then(|| Self {
            file: self.file.clone(),
            mentions: Vec::new(),
            commands,
        })
    }

    fn is_about_installing(&self, command: &Command) -> bool {
        INSTALLING.iter().any(|(file, section)| {
            *file == self.file && (section.is_empty() || *section == command.section)
        })
    }
}

/// Fails with all that went wrong, not only with the first.
#[track_caller]
fn assert_all(results: Vec<Result<(), String>>) {
    let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "\n\n{}\n", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_about_releases_do_what_the_pages_say() -> Result<()> {
    let pages = Page::all()?;
    let released = |page: &Page| page.only(|command| !page.is_about_installing(command));
    let world = World::start().await?;
    let played = pages
        .iter()
        .filter_map(released)
        .map(|page| world.play(page));
    assert_all(join_all(played).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_about_installing_do_what_the_pages_say() -> Result<()> {
    let pages = Page::all()?;
    let bare = Bare::start().await?;
    let mut results = Vec::new();
    for (file, _) in INSTALLING {
        let page = pages.iter().find(|page| page.file == file).context(file)?;
        let installing = page.only(|command| page.is_about_installing(command));
        results.push(bare.play(installing.context(file)?).await);
    }
    assert_all(results);
    Ok(())
}

#[tokio::test]
async fn the_plugin_knows_every_verb_and_flag_that_a_sentence_names() -> Result<()> {
    for page in Page::all()? {
        for words in page.mentions {
            // Read to the end, and then not done.
            let all = words.iter().map(String::as_str).chain(["--help"]);
            let output = plugin(Path::new(""), &all.collect::<Vec<_>>()).await?;
            assert_eq!(output.code, Some(0), "{}: {words:?}: {output:?}", page.file);
        }
    }
    Ok(())
}

#[test]
fn nothing_is_named_as_run_elsewhere_that_no_page_has() {
    let pages = Page::all().unwrap();
    let all: Vec<&Command> = pages.iter().flat_map(|page| &page.commands).collect();
    for row in ELSEWHERE {
        assert!(
            all.iter().any(|command| row.names(&command.text)),
            "no page has a command that begins with {:?}",
            row.begins
        );
    }
}
