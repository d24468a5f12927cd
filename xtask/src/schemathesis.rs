//! Property-based requests out of the OpenAPI document, by a program that others wrote.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::run::{cargo, run, workspace_root};

const VERSION: &str = "schemathesis==4.32.5";
/// Every answer is one that is documented, of the documented type and shape, and none is an error of
/// ours. What it would have us refuse although we take it, such as a text where any is fine, is not asked.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance";

pub(crate) fn schemathesis(arguments: &[String]) -> Result<()> {
    let tools = workspace_root().join("target/schemathesis");
    if !tools.join("bin/schemathesis").is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&tools))?;
        run(Command::new(tools.join("bin/pip")).args(["install", "--quiet", VERSION]))?;
    }
    run(cargo().args(["build", "--package", "samovar"]))?;
    let data = env::temp_dir().join(format!("samovar-schemathesis-{}", std::process::id()));
    let mut demo = Command::new(workspace_root().join("target/debug/samovar"));
    demo.args(["demo", "--orders", "500", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("the demo")?;
    let said = BufReader::new(demo.stdout.take().expect("piped"));
    let mut lines = said.lines().map_while(Result::ok);
    let mut told = |prefix: &str| {
        let line = lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
        line.context("the demo does not listen")
    };
    let asked = told("listening on ")
        .and_then(|address| Ok((address, told("$ TOKEN=")?)))
        .and_then(|(address, token)| {
            let mut command = Command::new(tools.join("bin/schemathesis"));
            let config = workspace_root().join("xtask/src/schemathesis.toml");
            command.arg("--config-file").arg(config).arg("run");
            // What it remembers is no part of the sources.
            command.current_dir(workspace_root().join("target"));
            command.arg(format!("{address}/openapi.json")).args(["--checks", CHECKS]);
            command.arg("--header").arg(format!("Authorization: Bearer {token}"));
            // An answer without an end.
            command.args(["--exclude-path", "/v1/stream", "--generation-database", "none"]);
            run(command.args(arguments))
        });
    let _ = demo.kill();
    let _ = demo.wait();
    let _ = std::fs::remove_dir_all(&data);
    asked
}
