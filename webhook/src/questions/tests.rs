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

/// Somebody who is asked: tells when, answers when told to, and notices that nobody listens any more.
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

/// Nobody is to be asked.
fn nobody(spec: &str) -> Exchange {
    Exchange {
        spec: json!(spec),
        call: async { panic!("asked again") }.boxed(),
    }
}

struct Looks {
    questions: Questions,
    woken: Arc<Notify>,
}

impl Looks {
    fn new(at_a_time: usize) -> Self {
        Self {
            questions: Questions::new(at_a_time),
            woken: Arc::default(),
        }
    }

    fn look(&self, at: Duration) -> Look<'_> {
        let wakes = &self.woken;
        let wall = Timestamp::UNIX_EPOCH;
        Look { wakes, at, wall }
    }

    fn ask(&self, canary: &str, question: Question, exchange: Exchange) -> Option<Answer> {
        let look = self.look(Duration::ZERO);
        let key = key(canary);
        self.questions
            .answer(&key, &at(20), question, exchange, look)
            .ok()
    }
}

#[tokio::test]
async fn a_look_does_not_wait_and_is_woken_by_the_answer() {
    let looks = Looks::new(8);
    let (exchange, asked) = somebody();
    assert_eq!(looks.ask("test/podinfo", HOOK, exchange), None);
    asked.began.await.unwrap();
    assert_eq!(looks.ask("test/podinfo", HOOK, nobody("spec")), None);
    asked.answers.send(passed()).unwrap();
    looks.woken.notified().await;
    let answer = looks.ask("test/podinfo", HOOK, nobody("spec"));
    assert_eq!(answer, Some(passed()));
}

#[tokio::test]
async fn what_was_decided_is_decided_once_more_with_the_same_answers_and_then_they_are_used() {
    let looks = Looks::new(8);
    let (exchange, asked) = somebody();
    looks.ask("test/podinfo", HOOK, exchange);
    asked.answers.send(passed()).unwrap();
    looks.woken.notified().await;
    for _ in 0..2 {
        let answer = looks.ask("test/podinfo", HOOK, nobody("spec"));
        assert_eq!(answer, Some(passed()));
        looks
            .questions
            .decided(&key("test/podinfo"), &BTreeMap::new());
    }
    looks.questions.forget(&key("test/podinfo"));
    let (exchange, asked) = somebody();
    assert_eq!(looks.ask("test/podinfo", HOOK, exchange), None);
    asked.began.await.unwrap();
}

#[tokio::test]
async fn an_answer_does_not_count_for_another_step_another_spec_or_after_a_long_absence() {
    let others = [
        (at(40), "spec", Duration::ZERO),
        (at(20), "another", Duration::ZERO),
        (at(20), "spec", FORGOTTEN_AFTER + SOON),
    ];
    for (subject, spec, now) in others {
        let looks = Looks::new(8);
        let (exchange, asked) = somebody();
        looks.ask("test/podinfo", HOOK, exchange);
        asked.answers.send(passed()).unwrap();
        looks.woken.notified().await;
        let (exchange, asked) = somebody();
        let spec = json!(spec);
        let exchange = Exchange { spec, ..exchange };
        let (look, key) = (looks.look(now), key("test/podinfo"));
        let answer = looks.questions.answer(&key, &subject, HOOK, exchange, look);
        assert_eq!(answer, Err(Timestamp::UNIX_EPOCH));
        asked.began.await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_nothing_waits_for_any_more_is_given_up() {
    let looks = Looks::new(8);
    let (exchange, mut asked) = somebody();
    looks.ask("test/podinfo", HOOK, exchange);
    (&mut asked.began).await.unwrap();
    looks.questions.decided(
        &key("test/podinfo"),
        &[(HOOK, Timestamp::UNIX_EPOCH)].into(),
    );
    assert!(!asked.answers.is_closed());
    looks
        .questions
        .decided(&key("test/podinfo"), &BTreeMap::new());
    asked.answers.closed().await;
}

#[tokio::test]
async fn a_namespace_takes_turns_and_others_do_not_wait_for_it() {
    let looks = Looks::new(1);
    let (exchange, first) = somebody();
    looks.ask("test/first", HOOK, exchange);
    first.began.await.unwrap();
    let (exchange, mut second) = somebody();
    looks.ask("test/second", HOOK, exchange);
    // Its own queries, and another namespace's webhooks.
    for (canary, question) in [("test/third", Question::Metric(0)), ("prod/first", HOOK)] {
        let (exchange, asked) = somebody();
        looks.ask(canary, question, exchange);
        asked.began.await.unwrap();
    }
    assert!(second.began.try_recv().is_err(), "it is not its turn");
    first.answers.send(passed()).unwrap();
    second.began.await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_turn_to_the_next() {
    let looks = Looks::new(1);
    let (exchange, first) = somebody();
    looks.ask("test/first", HOOK, exchange);
    first.began.await.unwrap();
    let (exchange, second) = somebody();
    looks.ask("test/second", HOOK, exchange);
    looks.questions.forget(&key("test/first"));
    second.began.await.unwrap();
}

#[tokio::test]
async fn a_call_that_breaks_off_is_made_again() {
    let looks = Looks::new(8);
    let (exchange, asked) = somebody();
    looks.ask("test/podinfo", HOOK, exchange);
    asked.began.await.unwrap();
    // The call panics.
    drop(asked.answers);
    loop {
        let (exchange, asked) = somebody();
        assert_eq!(looks.ask("test/podinfo", HOOK, exchange), None);
        tokio::task::yield_now().await;
        if asked.began.await.is_ok() {
            return;
        }
    }
}
