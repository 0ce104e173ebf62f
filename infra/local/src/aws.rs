//! The local AWS: one process that answers for CloudFormation, Lambda, Step
//! Functions, API Gateway and Cognito, and that runs the function binaries as
//! processes of its own. Calls to it are plain HTTP, as AWS's own protocols are,
//! and unsigned: it takes them for calls of its one account and region.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::checkout::Checkout;
use crate::error::StackError;
use crate::gate::Gate;
use crate::guard::{Guard, Service, StopSignal};
use crate::http;

/// The region that everything local is in.
pub(crate) const REGION: &str = "us-east-1";
/// The longest path of a socket, in bytes: macOS has room for that.
const SOCKET_PATH_MAX: usize = 103;
/// The variables that a process may inherit, such as how to reach the internet and whom
/// to trust there.
const INHERITED: [&str; 9] = [
    "PATH",
    "LANG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "RUST_BACKTRACE",
];

/// The local AWS's address.
#[derive(Debug, Clone)]
pub struct Aws {
    endpoint: String,
}

/// An execution as Step Functions describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// The execution's name, which is the run's id.
    pub name: String,
    /// The error's name, if it failed.
    pub error: Option<String>,
    /// The error's message, if it failed.
    pub cause: Option<String>,
    /// The output, as JSON text.
    pub output: Option<String>,
}

impl Execution {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == "RUNNING"
    }
}

impl Aws {
    /// The local AWS at an address such as `http://127.0.0.1:4600`.
    #[must_use]
    pub fn at(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
        }
    }

    /// Starts the local AWS behind a gate on this port.
    pub(crate) async fn start(
        port: u16,
        wait_scale: Option<f64>,
        checkout: &Checkout,
        guard: &Guard,
    ) -> Result<(Self, Service, Gate), StackError> {
        let aws = Self::at(format!("http://127.0.0.1:{port}"));
        // It keeps keys for signing in, and the functions' code: nobody else may look.
        let own = guard.scratch().join("aws");
        let socket = socket_in(&own)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&own)
            .map_err(StackError::io("while making the local AWS's directory"))?;
        let gate = Gate::open(port, &socket)?;
        let mut command = aws.command(checkout.python()?, guard);
        command
            .arg(checkout.root().join("infra/local/launch.py"))
            .arg(&socket)
            .env("TMPDIR", &own)
            .env("STATE_DIR", own.join("state"))
            .env("IOT_MTLS_ENABLED", "0")
            .env("GATEWAY_PORT", port.to_string());
        if let Some(scale) = wait_scale {
            command.env("SFN_WAIT_SCALE", scale.to_string());
        }
        let mut service = guard.start("ministack", command, StopSignal::Term)?;
        let health = format!("{}/_ministack/health", aws.endpoint);
        service
            .until(async || {
                let answer = http::client().get(&health).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            })
            .await?;
        Ok((aws, service, gate))
    }

    /// Returns its address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A command whose AWS is this one, and that sees nothing of this process's
    /// environment that it need not see.
    pub(crate) fn command(&self, program: PathBuf, guard: &Guard) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for name in INHERITED {
            if let Ok(value) = std::env::var(name) {
                command.env(name, value);
            }
        }
        command
            .current_dir(guard.scratch())
            .env("HOME", guard.scratch())
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .env("PYTHONUNBUFFERED", "1")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION);
        command
    }

    /// Makes a bucket, for the deployment's files.
    pub(crate) async fn create_bucket(&self, name: &str) -> Result<(), StackError> {
        let request = http::client().put(format!("{}/{name}", self.endpoint));
        http::succeed("S3", request).await.map(drop)
    }

    /// Calls an operation of a JSON service.
    ///
    /// # Errors
    /// `Refused` with the service's own words; `NoAnswer`.
    pub async fn call(&self, target: &str, body: &Value) -> Result<Value, StackError> {
        let request = http::client()
            .post(&self.endpoint)
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.1")
            .body(body.to_string());
        let (status, answer) = http::send(target, request).await?;
        if status != 200 {
            return Err(StackError::Refused {
                what: target.to_owned(),
                status,
                body: answer,
            });
        }
        // Operations without an answer have an empty body.
        Ok(serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    /// Calls an operation of Step Functions.
    ///
    /// # Errors
    /// As [`Aws::call`].
    pub async fn step_functions(&self, operation: &str, body: &Value) -> Result<Value, StackError> {
        self.call(&format!("AWSStepFunctions.{operation}"), body)
            .await
    }

    /// Starts an execution and gives its ARN.
    ///
    /// # Errors
    /// As [`Aws::call`].
    pub async fn start_execution(
        &self,
        state_machine_arn: &str,
        name: Option<&str>,
        input: &Value,
    ) -> Result<String, StackError> {
        let mut body = json!({"stateMachineArn": state_machine_arn, "input": input.to_string()});
        if let Some(name) = name {
            body["name"] = name.into();
        }
        let answer = self.step_functions("StartExecution", &body).await?;
        http::text("StartExecution", &answer, "/executionArn", "executionArn")
    }

    /// Returns what became of an execution.
    ///
    /// # Errors
    /// As [`Aws::call`].
    pub async fn execution(&self, arn: &str) -> Result<Execution, StackError> {
        let answer = self
            .step_functions("DescribeExecution", &json!({"executionArn": arn}))
            .await?;
        Execution::deserialize(&answer).map_err(|_| StackError::Unexpected {
            what: "DescribeExecution".to_owned(),
            lacking: "an execution",
            body: answer.to_string(),
        })
    }

    /// The names of the states that an execution entered, in order.
    ///
    /// # Errors
    /// As [`Aws::call`].
    pub async fn states_entered(&self, arn: &str) -> Result<Vec<String>, StackError> {
        let body = json!({"executionArn": arn, "maxResults": 1000});
        let answer = self.step_functions("GetExecutionHistory", &body).await?;
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        Ok(events
            .iter()
            .filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str())
            .map(str::to_owned)
            .collect())
    }

    /// A function's log, oldest line first.
    ///
    /// # Errors
    /// As [`Aws::call`].
    pub async fn function_log(&self, function: &str) -> Result<Vec<String>, StackError> {
        let body = json!({"logGroupName": format!("/aws/lambda/{function}")});
        let answer = self.call("Logs_20140328.FilterLogEvents", &body).await?;
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        Ok(events
            .iter()
            .filter_map(|event| event["message"].as_str())
            .map(|message| message.trim_end().to_owned())
            .collect())
    }

    /// Calls an operation of a service that speaks the older query protocol: a form
    /// in, XML out.
    ///
    /// # Errors
    /// As [`Aws::call`].
    pub async fn query(&self, service: &str, form: String) -> Result<String, StackError> {
        let request = http::client()
            .post(&self.endpoint)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        http::succeed(service, request).await
    }

    /// A deployed stack's outputs.
    ///
    /// # Errors
    /// `Unexpected` if the stack is not there; as [`Aws::call`].
    pub async fn outputs(&self, stack: &str) -> Result<BTreeMap<String, String>, StackError> {
        const WHAT: &str = "CloudFormation";
        let form = format!("Action=DescribeStacks&Version=2010-05-15&StackName={stack}");
        let body = self.query(WHAT, form).await?;
        match outputs_in(&body) {
            Some(outputs) if !outputs.is_empty() => Ok(outputs),
            _ => Err(StackError::Unexpected {
                what: WHAT.to_owned(),
                lacking: "outputs",
                body: "the answer is not shown, for it holds the parameters".to_owned(),
            }),
        }
    }
}

/// Returns the path of the socket in a directory.
///
/// # Errors
/// `Setting` if the system has no room for it.
fn socket_in(directory: &Path) -> Result<PathBuf, StackError> {
    let socket = directory.join("http");
    let bytes = socket.as_os_str().len();
    if bytes <= SOCKET_PATH_MAX {
        return Ok(socket);
    }
    let over = bytes - SOCKET_PATH_MAX;
    Err(StackError::Setting {
        name: "TMPDIR",
        problem: format!(
            "is {over} bytes too long for a socket, which would be at {}; name a shorter directory",
            socket.display()
        ),
    })
}

/// The outputs in a `DescribeStacks` answer.
fn outputs_in(xml: &str) -> Option<BTreeMap<String, String>> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.has_tag_name(name))?;
        Some(child.text().unwrap_or_default().to_owned())
    };
    let outputs = document
        .descendants()
        .filter_map(|node| Some((text(node, "OutputKey")?, text(node, "OutputValue")?)))
        .collect();
    Some(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read_from_the_answer() {
        let xml = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
            <DescribeStacksResult><Stacks><member><StackName>s</StackName><Outputs>
            <member><OutputKey>ApiId</OutputKey><OutputValue>abc&amp;1</OutputValue></member>
            <member><OutputKey>Other</OutputKey><OutputValue/></member>
            </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;
        let outputs = outputs_in(xml).unwrap();
        assert_eq!(outputs["ApiId"], "abc&1");
        assert_eq!(outputs["Other"], "");
        assert!(outputs_in("no xml").is_none());
    }

    #[test]
    fn a_socket_that_has_no_room_names_the_setting() {
        let long = |length: usize| PathBuf::from(format!("/{}", "d".repeat(length - 1)));
        let fits = SOCKET_PATH_MAX - "/http".len();
        let socket = socket_in(&long(fits)).unwrap();
        assert_eq!(socket.as_os_str().len(), SOCKET_PATH_MAX);
        let refused = socket_in(&long(fits + 7)).unwrap_err().to_string();
        assert!(
            refused.starts_with("TMPDIR is 7 bytes too long"),
            "{refused}"
        );
        // As long as macOS makes it, there is room.
        let usual = Path::new("/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T");
        let scratch = usual.join(crate::guard::scratch_name().unwrap());
        socket_in(&scratch.join("aws")).unwrap();
    }

    /// The answer quotes the parameters, and among them the database's password.
    #[tokio::test]
    async fn a_stack_without_outputs_is_not_quoted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = "<Stacks><member><ParameterValue>hidden</ParameterValue></member></Stacks>";
        let router = axum::Router::new().fallback(async move || answer);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let aws = Aws::at(format!("http://{address}"));
        let error = aws.outputs("s").await.unwrap_err().to_string();
        assert!(
            error.contains("without outputs") && !error.contains("hidden"),
            "{error}"
        );
    }
}
