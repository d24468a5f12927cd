//! `samovar verify`: a sample of what is served is computed from the source once more, and compared.

use serde_json::{Value, json};

use super::{duration, list, reach, show, text};
use crate::{
    arguments::{Global, VerifyArguments},
    failure::Failure,
};

pub(crate) async fn verify(global: &Global, arguments: &VerifyArguments) -> Result<(), Failure> {
    let mut reach = reach(global).await?;
    let answer = reach.post("/v1/verify", &json!({ "sample": arguments.sample })).await;
    reach.close().await;
    let answer = answer?;
    show(global, &answer, for_people)?;
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    match (count("different"), count("failed")) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Said),
        // A check found problems.
        _ => Err(Failure::Found),
    }
}

fn for_people(answer: &Value) -> String {
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    let (equal, different) = (count("equal"), count("different"));
    if equal + different + count("moved") + count("failed") == 0 {
        return "nothing is kept that could be compared: warm or read something first".to_owned();
    }
    let compared = equal + different;
    let mut said = format!("{equal} of {compared} readings are what their sources say");
    for (name, what) in [("moved", "changed meanwhile"), ("failed", "could not be computed")] {
        if count(name) > 0 {
            said.push_str(&format!(", {} {what}", count(name)));
        }
    }
    if let Some(error) = answer["first_error"].as_str() {
        said.push_str(&format!("\n  {error}"));
    }
    for wrong in list(&answer["differences"]) {
        let (age, left) = (duration(&wrong["age_ms"]), duration(&wrong["fresh_for_ms"]));
        let key = text(&wrong["key"]);
        said.push_str(&format!("\n  differs: {key}, {age} old, fresh for {left} more"));
    }
    if different > 0 {
        let advice = "their data changed and nobody told: invalidate its tags, or shorten the ttl";
        said.push_str(&format!("\n{advice}"));
    }
    said
}
