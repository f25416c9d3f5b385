use canary_core::canary::Canary;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;

const HOOK: Question = Question::Hook(0);
const SOON: Duration = Duration::from_secs(1);

fn passed() -> Answer {
    Answer::Hook(Ok(()))
}

fn key(name: &str) -> Key {
    let (namespace, name) = name.split_once('/').unwrap();
    Key::new(namespace, name)
}

/// A Canary whose release is at this weight.
fn at(weight: i64) -> Subject {
    let mut canary = Canary::default();
    canary.status.get_or_insert_default().canary_weight = weight;
    Subject::of(&canary)
}

/// Somebody who is asked: tells when, and answers when told to.
struct Asked {
    began: oneshot::Receiver<()>,
    answers: oneshot::Sender<Answer>,
}

fn somebody() -> (Exchange, Asked) {
    let (begins, began) = oneshot::channel();
    let (answers, answer) = oneshot::channel();
    let call = async move {
        let _ = begins.send(());
        answer.await.expect("the test answers")
    };
    let exchange = Exchange {
        spec: json!("spec"),
        call: call.boxed(),
    };
    (exchange, Asked { began, answers })
}

struct Looks {
    questions: Questions,
    woken: Arc<Notify>,
}

impl Looks {
    fn new(at_a_time: usize) -> Self {
        Self {
            questions: Questions::new(at_a_time, Clock::start()),
            woken: Arc::default(),
        }
    }

    fn look(&self, later: Duration) -> Look<'_> {
        let now = self.questions.clock.now();
        Look {
            wakes: &self.woken,
            at: now + SignedDuration::try_from(later).unwrap(),
            interval: Duration::from_secs(10),
        }
    }

    fn ask(&self, canary: &str, question: Question) -> Asked {
        let (exchange, asked) = somebody();
        let (key, look) = (key(canary), self.look(Duration::ZERO));
        self.questions.ask(&key, &at(20), question, exchange, look);
        asked
    }

    /// What a look at this weight, with this spec and so much later, finds of the first webhook.
    fn find(&self, subject: &Subject, spec: &str, later: Duration) -> Answers {
        let key = key("test/podinfo");
        let spec = |_| json!(spec);
        self.questions.recall(&key, subject, self.look(later), spec)
    }

    fn found(&self) -> Answers {
        self.find(&at(20), "spec", Duration::ZERO)
    }
}

fn said(answers: &Answers) -> Option<&Result<(), String>> {
    answers.hooks.get(&0)
}

#[tokio::test]
async fn a_look_does_not_wait_and_is_woken_by_the_answer() {
    let looks = Looks::new(8);
    let asked = looks.ask("test/podinfo", HOOK);
    asked.began.await.unwrap();
    let found = looks.found();
    assert!(said(&found).is_none() && found.awaited[&HOOK].called.is_some());
    asked.answers.send(passed()).unwrap();
    looks.woken.notified().await;
    let found = looks.found();
    assert!(said(&found).is_some() && found.awaited.is_empty());
}

#[tokio::test]
async fn an_answer_is_there_until_a_decision_has_used_it() {
    let looks = Looks::new(8);
    let asked = looks.ask("test/podinfo", HOOK);
    asked.answers.send(passed()).unwrap();
    looks.woken.notified().await;
    // A write that came too late: it is decided once more.
    for _ in 0..2 {
        assert_eq!(said(&looks.found()), Some(&Ok(())));
    }
    looks.questions.used(&key("test/podinfo"), &[HOOK].into());
    assert!(said(&looks.found()).is_none());
}

#[tokio::test]
async fn what_is_under_way_outlasts_the_decisions_that_go_on_without_it() {
    let looks = Looks::new(8);
    let asked = looks.ask("test/podinfo", HOOK);
    looks.questions.used(&key("test/podinfo"), &[HOOK].into());
    assert!(looks.found().awaited.contains_key(&HOOK));
    asked.answers.send(passed()).unwrap();
    looks.woken.notified().await;
    assert_eq!(said(&looks.found()), Some(&Ok(())));
}

#[tokio::test]
async fn an_answer_does_not_count_for_another_step_another_spec_or_after_a_long_absence() {
    let others = [
        (at(40), "spec", Duration::ZERO),
        (at(20), "another", Duration::ZERO),
        (at(20), "spec", USED_WITHIN + SOON),
    ];
    for (subject, spec, later) in others {
        let looks = Looks::new(8);
        let asked = looks.ask("test/podinfo", HOOK);
        asked.answers.send(passed()).unwrap();
        looks.woken.notified().await;
        let found = looks.find(&subject, spec, later);
        assert!(said(&found).is_none() && found.awaited.is_empty());
        assert!(said(&looks.found()).is_none(), "nor later");
    }
}

#[tokio::test]
async fn a_call_for_another_step_or_another_spec_is_given_up() {
    for (subject, spec) in [(at(40), "spec"), (at(20), "another")] {
        let looks = Looks::new(8);
        let mut asked = looks.ask("test/podinfo", HOOK);
        (&mut asked.began).await.unwrap();
        looks.find(&subject, spec, Duration::ZERO);
        asked.answers.closed().await;
    }
}

#[tokio::test]
async fn a_namespace_takes_turns_and_others_do_not_wait_for_it() {
    let looks = Looks::new(1);
    let first = looks.ask("test/first", HOOK);
    first.began.await.unwrap();
    let mut second = looks.ask("test/podinfo", HOOK);
    // Its own queries, and another namespace's webhooks.
    for (canary, question) in [("test/third", Question::Metric(0)), ("prod/first", HOOK)] {
        looks.ask(canary, question).began.await.unwrap();
    }
    assert!(second.began.try_recv().is_err(), "it is not its turn");
    assert_eq!(looks.found().awaited[&HOOK].called, None);
    first.answers.send(passed()).unwrap();
    second.began.await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_turn_to_the_next() {
    let looks = Looks::new(1);
    let first = looks.ask("test/first", HOOK);
    first.began.await.unwrap();
    let second = looks.ask("test/podinfo", HOOK);
    looks.questions.forget(&key("test/first"));
    second.began.await.unwrap();
}

#[tokio::test]
async fn a_call_that_breaks_off_is_made_again() {
    let looks = Looks::new(8);
    let asked = looks.ask("test/podinfo", HOOK);
    asked.began.await.unwrap();
    // The call panics.
    drop(asked.answers);
    while looks.found().awaited.contains_key(&HOOK) {
        tokio::task::yield_now().await;
    }
}
