//! Chats. The shapes are Flagger's: bots and filters that people have written read them.

use serde_json::{Value, json};

use super::{Notice, Recipient};
use crate::message::AlertSeverity;

/// Colours of good and bad news.
pub struct Colours {
    good: &'static str,
    bad: &'static str,
}

pub const SLACK: Colours = Colours {
    good: "good",
    bad: "danger",
};
pub const ROCKET: Colours = Colours {
    good: "#0076D7",
    bad: "#FF0000",
};
const TEAMS: Colours = Colours {
    good: "0076D7",
    bad: "FF0000",
};

/// Hosts of Teams' Workflows, which take Adaptive Cards; its connectors, which took message cards, are retired.
const WORKFLOWS: [&str; 2] = [".logic.azure.com", ".powerplatform.com"];

impl Colours {
    pub fn of(&self, severity: AlertSeverity) -> &'static str {
        match severity {
            AlertSeverity::Info | AlertSeverity::Warn => self.good,
            AlertSeverity::Error => self.bad,
        }
    }
}

/// What Slack and Google Chat take for a mention or a tag, as text: it may come from a hook's answer.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Also Discord's and Rocket.Chat's.
pub fn slack(notice: &Notice, recipient: &Recipient, color: &str) -> Value {
    let fields = notice.fields.iter();
    let fields: Vec<_> = fields
        .map(|(title, value)| json!({"title": title, "value": value, "short": false}))
        .collect();
    json!({
        "channel": recipient.channel,
        "username": recipient.username,
        "icon_url": "",
        "icon_emoji": ":rocket:",
        "attachments": [{
            "color": color,
            "author_name": notice.id(),
            "text": notice.text,
            "mrkdwn_in": ["text"],
            "fields": fields,
        }],
    })
}

pub fn teams(notice: &Notice, severity: AlertSeverity) -> Value {
    let facts = notice.fields.iter();
    let facts: Vec<_> = facts
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": TEAMS.of(severity),
        "summary": format!("{}: {}", notice.id(), notice.text),
        "sections": [{
            "activityTitle": notice.text,
            "activitySubtitle": notice.id(),
            "facts": facts,
        }],
    })
}

/// Whether an address of Teams is a Workflow's.
pub fn is_workflow(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', '?', ':']).next().unwrap_or_default();
    WORKFLOWS.iter().any(|end| host.ends_with(end))
}

pub fn adaptive(notice: &Notice, severity: AlertSeverity) -> Value {
    let color = match severity {
        AlertSeverity::Info => "Good",
        AlertSeverity::Warn => "Warning",
        AlertSeverity::Error => "Attention",
    };
    let facts = notice.fields.iter();
    let facts: Vec<_> = facts
        .map(|(title, value)| json!({"title": title, "value": value}))
        .collect();
    let mut body = vec![
        json!({"type": "TextBlock", "text": notice.text, "weight": "Bolder", "color": color, "wrap": true}),
        json!({"type": "TextBlock", "text": notice.id(), "isSubtle": true, "wrap": true}),
    ];
    if !facts.is_empty() {
        body.push(json!({"type": "FactSet", "facts": facts}));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

pub fn google(notice: &Notice) -> Value {
    let fields = notice.fields.iter();
    let fields = fields.map(|(name, value)| format!("<b>{name}:</b> {}", escaped(value)));
    let text: Vec<_> = std::iter::once(escaped(&notice.text))
        .chain(fields)
        .collect();
    json!({
        "cards": [{
            "header": {
                "title": "Flagger",
                "subtitle": notice.id(),
                "imageUrl": "https://flagger.app/favicon.png",
            },
            "sections": [{ "widgets": [{ "textParagraph": { "text": text.join("<br>") } }] }],
        }],
    })
}
