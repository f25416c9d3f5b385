//! One node where all applications are released at once, and what that left behind.
//!
//! ```text
//!  node ─┬─ test/podinfo   the user's own YAML as it is: promoted, then rolled back by load
//!        ├─ test/backend   judged by the user's MetricTemplate
//!        ├─ two            two replicas, steady load, an image that fails by itself
//!        ├─ errors, delay  rolled back by what the load asks for
//!        ├─ again          changed again while it is released
//!        ├─ drift          its manifest is applied every five seconds, with a replica
//!        ├─ lost, hasty    requests counted by the client, server with its usual drain
//!        └─ undrained      the same, after all others, with --drain 0
//! ```
//! A release takes minutes of waiting and little work: played one after the other they would take an
//! hour. The play has a thread and a runtime of its own, and hands plain data to the tests.

use std::fmt;
use std::sync::LazyLock;
use std::thread;

use anyhow::Result;
use canary_tests::clock::now;
use canary_tests::image::Image;
use canary_tests::node::Node;
use canary_tests::tools::{Level, tools};
use canary_tests::{scenario, tools::folder};
use futures::future::try_join_all;
use tokio::sync::{Mutex, MutexGuard};

#[path = "play/acts.rs"]
pub mod acts;
#[path = "play/count.rs"]
pub mod count;
#[path = "play/drift.rs"]
pub mod drift;
#[path = "play/site.rs"]
pub mod site;

use acts::{Custom, TwoReleases, User};
use count::Losses;
use drift::Looped;
use site::Seen;

/// A node takes a machine: one at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

static PLAYED: LazyLock<Act<Played>> = LazyLock::new(|| {
    let _machine = MACHINE.blocking_lock();
    let play = thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(play())
    });
    match play.join() {
        Ok(played) => told(played),
        Err(_) => Err(BrokeOff("the play panicked: see above".to_owned())),
    }
});

/// What each act left behind, or why it broke off.
pub struct Played {
    user: Act<User>,
    custom: Act<Custom>,
    two: Act<TwoReleases>,
    errors: Act<Seen>,
    delay: Act<Seen>,
    again: Act<Seen>,
    drift: Act<Looped>,
    lost: Act<Losses>,
    hasty: Act<Losses>,
    undrained: Act<Losses>,
}

type Act<T> = Result<T, BrokeOff>;

/// Why there is nothing to read from; printed as it is by `unwrap`.
pub struct BrokeOff(String);

impl fmt::Debug for BrokeOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this part of the play broke off: {}", self.0)
    }
}

/// Holds the machine for a node.
pub async fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}

macro_rules! acts {
    ($($name:ident: $kind:ty),* $(,)?) => {$(
        pub fn $name() -> Result<&'static $kind, &'static BrokeOff> {
            PLAYED.as_ref()?.$name.as_ref()
        }
    )*};
}

acts! {
    user: User, custom: Custom, two: TwoReleases, errors: Seen, delay: Seen, again: Seen,
    drift: Looped, lost: Losses, hasty: Losses, undrained: Losses,
}

async fn play() -> Result<Played> {
    let start = now();
    let node = Node::start().await?;
    try_join_all(variants()?.iter().map(|image| node.import_image(image))).await?;
    scenario::prepare(&node).await?;
    scenario::install(&node).await?;
    println!("node, surroundings and server: {:?}", start.elapsed());
    // The user's own promotion is judged by how fast podinfo answers: hardly anything runs beside it.
    let (two, (user, custom, errors, delay, again, drift, lost, hasty)) =
        tokio::join!(acts::two(&node), async {
            let promoted = acts::promoted(&node).await;
            tokio::join!(
                acts::user(&node, promoted),
                acts::custom(&node),
                acts::errors(&node),
                acts::delay(&node),
                acts::again(&node),
                drift::looped(&node),
                count::with_a_hasty_canary(&node),
                count::with_hasty_pods(&node, "hasty"),
            )
        });
    println!("all releases: {:?}", start.elapsed());
    let undrained = match count::without_drain(&node).await {
        Ok(()) => count::with_hasty_pods(&node, "undrained").await,
        Err(error) => Err(error),
    };
    println!("the end: {:?}", start.elapsed());
    Ok(Played {
        user: told(user),
        custom: told(custom),
        two: told(two),
        errors: told(errors),
        delay: told(delay),
        again: told(again),
        drift: told(drift),
        lost: told(lost),
        hasty: told(hasty),
        undrained: told(undrained),
    })
}

fn told<T>(act: Result<T>) -> Act<T> {
    act.map_err(|error| BrokeOff(format!("{error:#}")))
}

/// podinfo with an environment of its own, as tag `<version>-<kind>`: `faulty` answers errors by itself,
/// `hasty` closes its port the moment it is told to end, where podinfo serves on for three seconds.
fn variants() -> Result<Vec<Image>> {
    let variant = |version: &str, kind: &str, name: &str, value: &str| -> Result<Image> {
        let program = tools(Level::Node)?.join(format!("podinfo-{version}"));
        let tag = format!("docker.io/stefanprodan/podinfo:{version}-{kind}");
        let image = Image::new(&tag).file(program, "/bin/podinfo");
        Ok(image
            .entrypoint(&["/bin/podinfo", "--port=9898"])
            .env(name, value))
    };
    Ok(vec![
        variant("6.0.2", "faulty", "PODINFO_RANDOM_ERROR", "true")?,
        variant("6.0.0", "hasty", "PODINFO_LEVEL", "debug")?,
        variant("6.0.1", "hasty", "PODINFO_LEVEL", "debug")?,
        variant("6.0.2", "hasty", "PODINFO_LEVEL", "debug")?,
    ])
}

/// A file of the user's, to be applied as it is.
fn user_file(name: &str) -> String {
    folder("tests/seed").join(name).display().to_string()
}
