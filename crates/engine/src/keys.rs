//! Key templates of widgets: each placeholder has something to stand for.

use samovar_cache::{KeyError, KeyTemplate};
use samovar_widgets::{Located, Problem};

use crate::catalogue::Declared;

/// What is wrong with a widget's template. Keys never collide, whatever it says: the widget, its
/// definition and everything that the template leaves out are part of them.
pub(crate) fn check(widget: &Declared<'_>) -> Vec<Problem> {
    let Some(Located { value: text, line }) = widget.key else { return Vec::new() };
    let template = match KeyTemplate::parse(text) {
        Ok(template) => template,
        Err(error) => return vec![Problem::new(*line, &error).hint(hint_for(&error))],
    };
    let params: Vec<&str> = widget.params.iter().map(|param| param.name.value.as_str()).collect();
    let complaint = |name: &str| match name {
        "widget" | "tenant" => None,
        "bucket" if widget.bucket.is_none() => {
            let problem = Problem::new(*line, "the key has {bucket}, and the widget no bucket");
            Some(problem.hint("give it one: bucket = \"hour\""))
        }
        "range" if widget.ranges.is_empty() => {
            let problem = Problem::new(*line, "the key has {range}, and the widget no ranges");
            Some(problem.hint("give it some: ranges = [\"7d\", \"30d\"]"))
        }
        "bucket" | "range" => None,
        name if params.contains(&name) => None,
        name => {
            let reason = format!("`{{{name}}}` in the key is not a parameter of this widget");
            let known = || {
                let always = ["widget", "tenant"].into_iter();
                let bucket = widget.bucket.is_some().then_some("bucket");
                let range = (!widget.ranges.is_empty()).then_some("range");
                always.chain(bucket).chain(range).chain(params.iter().copied())
            };
            let otherwise = || {
                let known: Vec<_> = known().map(|name| format!("{{{name}}}")).collect();
                format!("it can have {}", known.join(", "))
            };
            Some(Problem::new(*line, reason).meant(name, known(), otherwise))
        }
    };
    template.placeholders().filter_map(complaint).collect()
}

fn hint_for(error: &KeyError) -> &'static str {
    match error {
        KeyError::EmptyTemplate => "leave `key` out: widget:{widget}:{tenant} is the default",
        _ => "write it like widget:{widget}:{tenant}",
    }
}
