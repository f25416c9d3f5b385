//! `dashboard`: what is printed, how it ends, and that its page asks as the verbs do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;

use serde_json::{Value, json};

use crate::fake::{FakeApi, answer_to, canary, progressing, status};
use crate::run::{finish, on, start};

/// A dashboard that is stopped when it is dropped.
struct Dashboard {
    child: Option<Child>,
    host: String,
    token: String,
}

impl Dashboard {
    fn of(api: &FakeApi, more: &[&str]) -> Self {
        let words = [&["dashboard", "--no-browser"], more].concat();
        let mut child = start(api, &words);
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap();
        let (host, token) = address.split_once("/?token=").unwrap();
        let (host, token) = (host.to_owned(), token.to_owned());
        let child = Some(child);
        Self { child, host, token }
    }

    /// Head and body of an answer.
    fn ask(&self, head: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let (host, length) = (&self.host, body.len());
        write!(
            stream,
            "{head}\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn cookie(&self) -> String {
        let (head, _) = self.ask(&format!("GET /?token={} HTTP/1.1", self.token), "");
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "));
        line.unwrap().split(';').next().unwrap().to_owned()
    }

    fn wish(&self, verb: &str, body: &Value) -> (String, Value) {
        let head = format!(
            "POST /api/canaries/test/podinfo/{verb} HTTP/1.1\r\ncookie: {}\r\norigin: http://{}\r\n\
             content-type: application/json",
            self.cookie(),
            self.host
        );
        let (head, body) = self.ask(&head, &body.to_string());
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, serde_json::from_str(&body).unwrap())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn the_address_is_on_this_machine_and_holds_a_token() {
    let api = FakeApi::new(canary(&progressing()));
    let dashboard = Dashboard::of(&api, &[]);
    assert!(dashboard.host.starts_with("127.0.0.1:"));
    assert_eq!(dashboard.token.len(), 64);
    assert!(dashboard.cookie().starts_with("kubectl-canary-"));
    let watches = api.urls();
    let watches = watches.iter().filter(|url| url.contains("watch=true"));
    assert!(watches.count() <= 1);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_well() {
    let api = FakeApi::new(canary(&progressing()));
    let mut dashboard = Dashboard::of(&api, &[]);
    // It listens for the signal once it serves.
    dashboard.cookie();
    let child = dashboard.child.take().unwrap();
    let pid = child.id().to_string();
    let kill = std::process::Command::new("sh")
        .args(["-c", r#"kill -s INT "$0""#, &pid])
        .status();
    assert!(kill.unwrap().success());
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("works once"), "{}", ran.stderr);
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_hint() {
    let api = FakeApi::new(canary(&progressing()));
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let ran = on(&api, &["dashboard", "--no-browser", "--port", &port]);
    ran.failed(1, &format!("cannot listen on 127.0.0.1:{port}"));
    assert!(ran.stderr.contains("hint: choose another --port"));
}

#[test]
fn who_may_not_read_gets_no_dashboard() {
    let api =
        FakeApi::answering(|_, _| Some(status(403, "Forbidden", "canaries is forbidden", "")));
    let ran = on(&api, &["open", "--no-browser"]);
    ran.failed(5, "canaries is forbidden");
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_wish_of_the_page_is_written_as_the_verbs_write_it() {
    let reaction = |id: &str| answer_to(id, "Done", "advanced to weight 20");
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(reaction)]);
    let dashboard = Dashboard::of(&api, &[]);
    let wish = json!({"revision": "v1-bbbbbbbbbbbb", "reason": "looks\n fine"});
    let (status, told) = dashboard.wish("promote", &wish);
    assert_eq!(status, "200", "{told}");
    assert_eq!(told["message"], "podinfo.test: advanced to weight 20");
    let annotations = &api.patches()[0]["metadata"]["annotations"];
    let request = annotations["kubectl-canary.dev/request"].as_str().unwrap();
    assert!(
        request.starts_with("promote v1-bbbbbbbbbbbb uid-1 "),
        "{request}"
    );
    let reason = annotations["kubectl-canary.dev/request-reason"]
        .as_str()
        .unwrap();
    assert!(reason.ends_with(" looks fine"), "{reason}");
}

#[test]
fn a_wish_about_another_revision_is_not_written() {
    let api = FakeApi::new(canary(&progressing()));
    let dashboard = Dashboard::of(&api, &[]);
    let (status, told) = dashboard.wish("promote", &json!({"revision": "v1-aaaaaaaaaaaa"}));
    assert_eq!(status, "409", "{told}");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("was superseded by release 2"), "{message}");
    assert!(api.patches().is_empty());
}
