//! The address at which an execution is to be seen.

/// The execution's page in the console of its partition; none for a text that is
/// no ARN.
#[must_use]
pub fn url(execution_arn: &str) -> Option<String> {
    let mut parts = execution_arn.split(':').skip(1);
    let (partition, _service, region) = (parts.next()?, parts.next()?, parts.next()?);
    let host = match partition {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    Some(format!(
        "https://{region}.{host}/states/home?region={region}#/v2/executions/details/{execution_arn}"
    ))
}
