//! Somebody to sign in as, and a token for scripts. Both come from the user pool
//! of the template, as on AWS: a user in the group `admin`, and the machine
//! client's own credentials.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::aws::Aws;
use crate::error::StackError;
use crate::{deploy, http, random};

const COGNITO: &str = "AWSCognitoIdentityProviderService";
const USERNAME: &str = "admin";
const GROUP: &str = "admin";
const SCOPE: &str = "square-sync/admin";

/// The user who may use the page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    pub username: String,
    pub password: String,
}

impl SignIn {
    /// Makes the user, with a password of this run's own.
    pub(crate) async fn create(aws: &Aws, user_pool: &str) -> Result<Self, StackError> {
        // The pool wants upper and lower case and digits.
        let password = format!("Sq1-{}", random::hex()?);
        let user = json!({"UserPoolId": user_pool, "Username": USERNAME});
        let calls = [
            (
                "AdminCreateUser",
                json!({
                    "MessageAction": "SUPPRESS",
                    "TemporaryPassword": password,
                    "UserAttributes": [
                        {"Name": "email", "Value": "admin@example.com"},
                        {"Name": "email_verified", "Value": "true"},
                    ],
                }),
            ),
            (
                "AdminSetUserPassword",
                json!({"Password": password, "Permanent": true}),
            ),
            ("AdminAddUserToGroup", json!({"GroupName": GROUP})),
        ];
        for (operation, mut body) in calls {
            for key in ["UserPoolId", "Username"] {
                body[key] = user[key].clone();
            }
            aws.call(&format!("{COGNITO}.{operation}"), &body).await?;
        }
        Ok(Self {
            username: USERNAME.to_owned(),
            password,
        })
    }
}

/// The app client through which scripts get their tokens.
pub struct MachineClient {
    aws: Aws,
    id: String,
    secret: String,
}

impl MachineClient {
    /// The machine client of the deployed stack.
    ///
    /// # Errors
    /// `NoAnswer` or `Refused` if the local AWS is not there or has no stack.
    pub async fn find(aws: &Aws) -> Result<Self, StackError> {
        let outputs = aws.outputs(deploy::STACK).await?;
        let output = |name: &str| outputs.get(name).cloned().unwrap_or_default();
        let id = output("MachineClientId");
        let body = json!({"UserPoolId": output("UserPoolId"), "ClientId": id});
        let what = format!("{COGNITO}.DescribeUserPoolClient");
        let answer = aws.call(&what, &body).await?;
        let secret = http::text(
            &what,
            &answer,
            "/UserPoolClient/ClientSecret",
            "the client's secret",
        )?;
        Ok(Self {
            aws: aws.clone(),
            id,
            secret,
        })
    }

    /// A fresh bearer token.
    ///
    /// # Errors
    /// `Refused` in Cognito's words; `NoAnswer`.
    pub async fn token(&self) -> Result<String, StackError> {
        let what = "the token endpoint";
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.id)
            .append_pair("client_secret", &self.secret)
            .append_pair("scope", SCOPE);
        let request = http::client()
            .post(format!("{}/oauth2/token", self.aws.endpoint()))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.finish());
        let answer = http::json(what, request).await?;
        http::text(what, &answer, "/access_token", "a token")
    }
}
