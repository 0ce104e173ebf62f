"""Defects for copies of the real template, and what the lint says about each."""

# The functions that speak to Square, and the machines, as the loops have them.
SQUARE = ["Preflight", "Locations", "Catalog", "Inventory", "Publish", "Orders", "SpotCheck"]
MACHINES = ["CompleteSync", "HistoricalOrders", "Migration", "Restore", "SpotChecks"]

# What is done to the template (its first such lines become others), and all that
# the assertions say about it then.
PLANTED = [
    # Functions and machines
    (
        "a function without tracing",
        "      MemorySize: 256\n", "      MemorySize: 256\n      Tracing: PassThrough\n",
        ["Preflight: tracing is not Active"],
    ),
    (
        "a machine without tracing",
        "      Tracing:\n        Enabled: true\n", "      Tracing:\n        Enabled: false\n",
        ["CompleteSync: tracing is not enabled"],
    ),
    (
        "a machine that does not log",
        "        Level: ERROR\n", '        Level: "OFF"\n',
        ["CompleteSync: logging is off"],
    ),
    (
        "two functions in one log",
        "LogGroup: !Ref PreflightLogs", "LogGroup: !Ref LocationsLogs",
        ["Preflight: no log group of its own"],
    ),
    (
        "a function that does not log in JSON",
        "        LogGroup: !Ref PreflightLogs\n", "        LogGroup: !Ref PreflightLogs\n        LogFormat: Text\n",
        ["Preflight: its log is not in JSON"],
    ),
    (
        "a function without a time-out",
        "      Timeout: 180\n", "",
        ["Preflight: no Timeout"],
    ),
    (
        "two functions with one role",
        "      Timeout: 180\n", "      Timeout: 180\n      Role: !GetAtt LocationsRole.Arn\n",
        ["Preflight: no role of its own"],
    ),
    (
        "a log that is kept for ever",
        "          RetentionInDays: !Ref LogRetentionDays\n", "",
        [f"{function}Logs: no RetentionInDays" for function in [*SQUARE, "Migrate", "Finish", "Api"]],
    ),
    # Who may do what
    (
        "a wildcard action",
        "Action: states:StartExecution", "Action: states:*",
        ["ApiRole: wildcard action states:*"],
    ),
    (
        "a wildcard resource",
        "            Resource: !Ref KmsKeyArn\n", '            Resource: "*"\n',
        [f"KeyUse: wildcard resource * for kms:{action}" for action in ["Decrypt", "GenerateDataKey"]],
    ),
    (
        "another action on an allowed wildcard",
        "                - states:StopExecution\n", "                - states:RedriveExecution\n",
        [
            "ApiRole: wildcard resource arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
            f":execution:${{{machine}.Name}}:* for states:RedriveExecution"
            for machine in MACHINES
        ],
    ),
    (
        "a policy of AWS's",
        "- !If [HasKmsKey, !Ref KeyUse, !Ref AWS::NoValue]\n", "- arn:aws:iam::aws:policy/AdministratorAccess\n",
        [
            f"{function}Role: nobody gave a reason for the policy arn:aws:iam::aws:policy/AdministratorAccess"
            for function in SQUARE
        ],
    ),
    (
        "a topic for everybody",
        "Principal: { Service: cloudwatch.amazonaws.com }", 'Principal: "*"',
        ["NotificationsPolicy: everybody is allowed"],
    ),
    (
        "a role without a boundary",
        "          PermissionsBoundary: !If [HasPermissionsBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]\n          Description: !Sub\n",
        "          Description: !Sub\n",
        [f"{function}Role: no PermissionsBoundary" for function in SQUARE],
    ),
    (
        "a machine's role without a boundary",
        "      Type: STANDARD\n      PermissionsBoundary: !If [HasPermissionsBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]\n",
        "      Type: STANDARD\n",
        ["CompleteSyncRole: no PermissionsBoundary"],
    ),
    (
        "a schedule's role without a boundary",
        "            GroupName: !Ref Schedules\n            PermissionsBoundary: !If [HasPermissionsBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]\n",
        "            GroupName: !Ref Schedules\n",
        ["CompleteSyncIncrementalRole: no PermissionsBoundary"],
    ),
    (
        "a way round the domain",
        "DisableExecuteApiEndpoint: !If [HasDomainOnAws, true, false]", "DisableExecuteApiEndpoint: false",
        ["HttpApi: its own address stays open beside the domain"],
    ),
    (
        "a way round the domain where there is one",
        "DisableExecuteApiEndpoint: !If [HasDomainOnAws, true, false]", "DisableExecuteApiEndpoint: !If [HasDomainOnAws, false, true]",
        ["HttpApi: its own address stays open beside the domain"],
    ),
    (
        "a route without a reason",
        "RouteKey: $default", "RouteKey: GET /admin/sync",
        ["HttpApiRoute: no authorizer for the route GET /admin/sync, and no reason why"],
    ),
    # Secrets
    (
        "a secret in an environment variable",
        "_ARN: !Ref SquareAccessTokenSecret\n", "_ARN: !Ref SquareAccessToken\n",
        ["Locations: the secret SquareAccessToken gets out of Secrets Manager"],
    ),
    (
        "a secret within a text",
        "DefinitionSubstitutions:\n", "DefinitionSubstitutions:\n        Url: !Sub x${DatabaseUrl}\n",
        ["CompleteSync: the secret DatabaseUrl gets out of Secrets Manager"],
    ),
    (
        "a secret among the outputs",
        "    Value: !Ref HttpApi\n", "    Value: !Ref DatabaseUrl\n",
        ["Output ApiId: the secret DatabaseUrl gets out of Secrets Manager"],
    ),
    (
        "a variable that is called like a secret",
        "          SQUARE_ACCESS_TOKEN_SECRET_ARN: ", "          SQUARE_ACCESS_TOKEN: ",
        ["Locations: the variable SQUARE_ACCESS_TOKEN is called like a secret"],
    ),
    (
        "a literal secret",
        "_ARN: !Ref SquareAccessTokenSecret\n", "_ARN: EAAAl7Xw\n",
        ["Locations: the variable SQUARE_ACCESS_TOKEN_SECRET_ARN has a value like a secret"],
    ),
    (
        "a secret that is shown",
        "    NoEcho: true\n    MinLength: 1\n", "    MinLength: 1\n",
        [
            "SquareAccessToken: looks like a secret without NoEcho",
            "SquareAccessTokenSecret: its value is not a NoEcho parameter or a client's secret alone",
        ],
    ),
    (
        "a secret in the clear",
        "      SecretString: !Ref DatabaseUrl\n", "      SecretString: postgres://me:open@host/base\n",
        ["DatabaseUrlSecret: its value is not a NoEcho parameter or a client's secret alone"],
    ),
    (
        "a secret with a default",
        '    NoEcho: true\n    Default: ""\n', "    NoEcho: true\n    Default: open\n",
        ["OidcClientSecret: a default value in the clear"],
    ),
    (
        "a client's secret among the outputs",
        "    Value: !Ref PeopleClient\n", "    Value: !GetAtt PeopleClient.ClientSecret\n",
        ["Output PeopleClientId: the secret PeopleClient.ClientSecret gets out of Secrets Manager"],
    ),
    (
        "a secret that anybody could know",
        "      SecretString: !GetAtt PeopleClient.ClientSecret\n", "      SecretString: !Ref PeopleClient\n",
        ["PeopleClientSecret: its value is not a NoEcho parameter or a client's secret alone"],
    ),
    # Sign-in
    (
        "a pool in which Ada and ada are two people",
        "        CaseSensitive: false\n", "        CaseSensitive: true\n",
        ["UserPool: a person may have several names"],
    ),
    (
        "a pool that a slip deletes",
        "    Default: ACTIVE\n", "    Default: INACTIVE\n",
        ["UserPool: people can be deleted by a slip"],
    ),
    (
        "a pool that a failed deployment leaves",
        "    DeletionPolicy: RetainExceptOnCreate\n", "    DeletionPolicy: Retain\n",
        ["UserPool: a failed first deployment leaves it, or its stack takes it along"],
    ),
    (
        "a client without a secret",
        "      GenerateSecret: true\n", "      GenerateSecret: false\n",
        ["PeopleClient: a client without a secret"],
    ),
    (
        "tokens that are good for days",
        "        RefreshToken: hours\n", "        RefreshToken: days\n",
        ["PeopleClient: its RefreshToken may be good for more than 8 hours"],
    ),
    (
        "tokens that are good for a month",
        "      RefreshTokenValidity: 8\n", "      RefreshTokenValidity: 720\n",
        ["PeopleClient: its RefreshToken may be good for more than 8 hours"],
    ),
    (
        "a word about somebody that is good for a day",
        "      IdTokenValidity: !Ref SignInCheckMinutes\n", "      IdTokenValidity: 1440\n",
        ["PeopleClient: its IdToken may be good for more than 8 hours"],
    ),
    (
        "tokens of Cognito's own length",
        "      AccessTokenValidity: !Ref SignInCheckMinutes\n", "",
        ["PeopleClient: its AccessToken may be good for more than 8 hours"],
    ),
    (
        "machines' tokens that anybody may make good for a month",
        "    Default: 1\n    MinValue: 1\n    MaxValue: 24\n", "    Default: 1\n    MinValue: 1\n    MaxValue: 720\n",
        ["MachineClient: its AccessToken may be good for more than 24 hours"],
    ),
    (
        "a subscriber whose messages are lost",
        "      RedrivePolicy:\n        deadLetterTargetArn: !GetAtt SubscriberDeadLetters.Arn\n", "",
        ["NotificationByHttps: what it does not take is lost"],
    ),
    (
        "a queue that is not encrypted",
        "      SqsManagedSseEnabled: true\n", "",
        ["ScheduleDeadLetters: not encrypted, and no reason why"],
    ),
    # Parameters
    (
        "a parameter that takes anything",
        "    AllowedPattern: ^[0-9]{1,4}$\n", "",
        ["SquareMaxRequestsPerSecond: anything is allowed in it"],
    ),
    (
        "a number without a limit",
        "    MinValue: 0\n", "",
        ["NoSuccessHours: anything is allowed in it"],
    ),
    (
        "a parameter without a description",
        "    Description: Which Square the token belongs to.\n", "",
        ["SquareEnvironment: no description"],
    ),
    (
        "a parameter in no group",
        "          - BackupsKept\n", "",
        ["BackupsKept: in 0 parameter groups rather than one"],
    ),
    (
        "a group with a parameter that is gone",
        "          - BackupsKept\n", "          - BackupsKept\n          - BackupsLost\n",
        ["BackupsLost: grouped, but no parameter"],
    ),
    (
        "a token that a name server may have",
        "http://(localhost|127(", "http://(([a-z0-9-]+\\.)*localhost|127(",
        [f"SquareBaseUrl: {url} may be its value" for url in ["http://shop.localhost", "http://shop.localhost:4600"]],
    ),
    (
        "a client's secret that anybody may read",
        "    AllowedPattern: ^(https://[^\\s?#]+)?$\n", "    AllowedPattern: ^(https?://[^\\s?#]+)?$\n",
        [
            f"OidcIssuer: {url} may be its value"
            for url in [
                "http://shop.example", "http://localhost.example", "http://127.0.0.1.example",
                "http://shop.localhost", "http://shop.localhost:4600",
            ]
        ],
    ),
    # Schedules
    (
        "a bad cron",
        "Default: cron(15 3 * * ? *)", "Default: cron(15 3 * * * *)",
        [
            "ReconcileScheduleExpression: cron(15 3 * * * *): one of day-of-month and day-of-week is ?,"
            " and only one"
        ],
    ),
    (
        "a bad rate",
        "Default: rate(1 hour)", "Default: rate(1 hours)",
        ["ScheduleExpression: rate(1 hours): it is 1 hour"],
    ),
    (
        "a bad literal",
        "ScheduleExpression: !Ref ScheduleExpression\n", "ScheduleExpression: cron(60 3 * * ? *)\n",
        ["CompleteSyncIncremental: cron(60 3 * * ? *): minutes: 60 is not within 0–59"],
    ),
    (
        "a schedule without a dead-letter queue",
        "            DeadLetterConfig:\n              Arn: !GetAtt ScheduleDeadLetters.Arn\n", "",
        ["CompleteSyncIncremental: no dead-letter queue"],
    ),
    (
        "a schedule that tries for a day",
        "              MaximumEventAgeInSeconds: 900\n", "",
        ["CompleteSyncIncremental: no complete RetryPolicy"],
    ),
    (
        "a schedule without a time zone",
        "            ScheduleExpressionTimezone: !Ref ScheduleTimezone\n", "",
        ["CompleteSyncIncremental: no time zone"],
    ),
    (
        "a schedule that the one parameter does not stop",
        "            State: !If [SchedulesAreOn, !Ref OrderLookBackScheduleState, DISABLED]\n",
        "            State: !Ref OrderLookBackScheduleState\n",
        ["CompleteSyncOrderLookBack: ScheduleState does not stop it"],
    ),
    (
        "a schedule among everybody's",
        "            GroupName: !Ref Schedules\n", "",
        ["CompleteSyncIncremental: not in the stack's group of schedules"],
    ),
    (
        "a rule without a dead-letter queue",
        "          DeadLetterConfig:\n            Arn: !GetAtt NotificationDeadLetters.Arn\n", "",
        ["RunEnded: no dead-letter queue"],
    ),
    # Alarms
    (
        "an alarm that nobody hears",
        "          AlarmActions: [!Ref Notifications]\n", "",
        [f"RunFailedAlarm{machine}: the alarm tells no topic" for machine in MACHINES]
        + [f"RunFailedAlarm{machine}: there are stories of it, but no such alarm" for machine in MACHINES],
    ),
    (
        "an alarm without a description",
        "      AlarmDescription: A notification did not reach a subscriber.\n", "",
        ["NotificationsFailedAlarmEmail: no description"],
    ),
    (
        "an alarm that is muted",
        "      ActionsEnabled: !If [SchedulesAreOn, true, false]\n", "      ActionsEnabled: false\n",
        ["NoSuccessAlarm: the alarm tells no topic"],
    ),
    (
        "an alarm that is muted when it is needed",
        "      ActionsEnabled: !If [SchedulesAreOn, true, false]\n", "      ActionsEnabled: !If [SchedulesAreOn, false, true]\n",
        ["NoSuccessAlarm: the alarm tells no topic"],
    ),
    (
        "alarms for the local AWS alone",
        '  IsOnAws: !Equals [!Ref CognitoEndpointUrl, ""]\n', '  IsOnAws: !Not [!Equals [!Ref CognitoEndpointUrl, ""]]\n',
        [
            f"{family}: no such alarm where each parameter has its default"
            for family in ["NoSuccessAlarm", "FunctionThrottlesAlarm", "ApiErrorsAlarm", "RunFailedAlarm"]
        ],
    ),
    (
        "an alarm that looks back for a fortnight",
        "      EvaluationPeriods: 24\n      DatapointsToAlarm: 1\n      TreatMissingData: notBreaching\n\n  # Whoever",
        "      EvaluationPeriods: 336\n      DatapointsToAlarm: 1\n      TreatMissingData: notBreaching\n\n  # Whoever",
        ["DriftAlarm: it looks back 1209600 seconds, and AWS allows 604800"],
    ),
    (
        "an alarm that looks back for two days by minutes",
        "      EvaluationPeriods: 12\n", "      EvaluationPeriods: 576\n",
        ["FunctionThrottlesAlarm: it looks back 172800 seconds, and AWS allows 86400"],
    ),
    (
        "an alarm of which anybody may make the look-back longer",
        "    MaxValue: 24\n    Description: Hours without", "    MaxValue: 240\n    Description: Hours without",
        ["NoSuccessAlarm: it looks back 864000 seconds, and AWS allows 604800"],
    ),
    (
        "an alarm that is not in the runbook",
        "-QuarantineGrowthAlarm\n", "-QuarantineAlarm\n",
        [
            "QuarantineGrowthAlarm: the runbook has no section QuarantineAlarm",
            "The runbook's section QuarantineGrowthAlarm is about no alarm",
        ],
    ),
]

# What is done to an alarm, whose it is, and what happens that it then is wrong in.
MISTUNED = [
    ("Expression: FILL(whole, 0)", "Expression: whole", "NoSuccessAlarm: no run any more"),
    (
        "MetricName: WholeSyncs\n              Dimensions: [{ Name: Stack, Value: !Ref AWS::StackName }]",
        "MetricName: RunsSucceeded\n              Dimensions: [{ Name: Kind, Value: complete_sync }]",
        "NoSuccessAlarm: all syncs fail, but orders are read at night",
    ),
    (
        " - SUM(FILL(told, 0))", "",
        "RunFailedAlarmCompleteSync: ExecutionsFailed, told of after some tries",
    ),
    (
        "RUNNING_SUM(FILL(failed, 0) + FILL(late, 0)) - SUM(FILL(told, 0))",
        "RUNNING_SUM(FILL(failed, 0) + FILL(late, 0) - FILL(told, 0))",
        "RunFailedAlarmCompleteSync: a run fails every 10 minutes, each told of after 8",
    ),
    (
        "          EvaluationPeriods: 4\n", "          EvaluationPeriods: 12\n          DatapointsToAlarm: 4\n",
        "RunFailedAlarmCompleteSync: ExecutionsFailed, and nobody is told",
    ),
    (
        "          EvaluationPeriods: 4\n", "          EvaluationPeriods: 4\n          DatapointsToAlarm: 1\n",
        "RunFailedAlarmRestore: ExecutionsTimedOut, told of after some tries",
    ),
    (
        "                  Namespace: SquareSync\n                  MetricName: FailuresTold",
        "                  Namespace: AWS/States\n                  MetricName: FailuresTold",
        "RunFailedAlarmCompleteSync: ExecutionsFailed, told of after some tries",
    ),
    (
        "Dimensions: [{ Name: Stack, Value: !Ref AWS::StackName }, { Name: Kind,",
        "Dimensions: [{ Name: Stack, Value: other }, { Name: Kind,",
        "RunFailedAlarmCompleteSync: ExecutionsFailed, told of after some tries",
    ),
    (
        "Dimensions: [{ Name: Stack, Value: !Ref AWS::StackName }, { Name: Kind,",
        "Dimensions: [{ Name: Stack, Value: !Ref AWS::StackName }, { Name: Type,",
        "RunFailedAlarmCompleteSync: ExecutionsFailed, told of after some tries",
    ),
    (
        "MetricName: WholeSyncs\n              Dimensions: [{ Name: Stack",
        "MetricName: WholeSyncs\n              Dimensions: [{ Name: Kind, Value: complete_sync }, { Name: Stack",
        "NoSuccessAlarm: a sync every hour",
    ),
    (
        "          EvaluationPeriods: 26\n", "          EvaluationPeriods: 1\n",
        "NearTimeOutAlarmCatalog: the daily listing nears its time-out",
    ),
    (
        "NumberOfNotificationsRedrivenToDlq", "NumberOfNotificationsFailed",
        "NotificationsFailedAlarmHttps: the address takes at the second try",
    ),
    (
        "        - { Name: TopicName, Value: !GetAtt Notifications.TopicName }\n      ComparisonOperator: GreaterThanThreshold\n      Threshold: 0\n      EvaluationPeriods: 24\n",
        "        - { Name: TopicName, Value: !GetAtt Notifications.TopicName }\n      ComparisonOperator: GreaterThanThreshold\n      Threshold: 0\n      EvaluationPeriods: 168\n",
        "NotificationsFailedAlarmEmail: a hiccup, and some days later a subscriber is gone",
    ),
    (" + FILL(api, 0)", "", "FunctionThrottlesAlarm: no room for Api"),
    ("Expression: FILL(answers, 0)", "Expression: answers", "ApiErrorsAlarm: the function crashes under whoever"),
    (
        "AlarmDescription: A notification did not reach a subscriber.\n",
        "AlarmDescription: A notification did not reach a subscriber.\n      OKActions: [!Ref Notifications]\n",
        "NotificationsFailedAlarmEmail: mails that all is well when it is new",
    ),
    (
        "  NotificationsFailedAlarmEmail:\n", "  OtherAlarm:\n",
        "OtherAlarm: nobody says when it rings and when it is quiet",
    ),
]
