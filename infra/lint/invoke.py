"""The errors of calling a function: each that AWS documents is retried by every task
that calls one, or there is a reason why not.

What is documented comes from botocore's description of Lambda, so that an error that
AWS adds is noticed when the tools are raised.
"""

import json
import re
from collections.abc import Iterator

import botocore.session

from reading import walk

# A function by the integration, whatever it waits for, or by its own name.
CALL = re.compile(r":states:::lambda:|:lambda:[^:]*:[^:]*:function:|\$\{\w*FunctionArn\}")

# What passes if it is waited for.
PASSING = {
    "CodeArtifactUserPendingException",
    "CodeArtifactUserDeletedException",
    "ResourceNotReadyException",
    "ENINotReadyException",
    "ResourceConflictException",
    "ServiceException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
}
# Not among Invoke's, but Step Functions' own names for what passes alike.
OF_STEP_FUNCTIONS = {
    "AWSLambdaException",
    "ClientExecutionTimeoutException",
    "SdkClientException",
    "Unknown",
}
# What does not, each kind with its reason.
HOPELESS = {
    "somebody has to mend the function": {
        "CodeArtifactUserFailedException",
        "InvalidRuntimeException",
        "InvalidZipFileException",
        "NoPublishedVersionException",
        "ResourceNotFoundException",
    },
    "somebody has to mend the network": {
        "EC2AccessDeniedException",
        "ENILimitReachedException",
        "InvalidSecurityGroupIDException",
        "InvalidSubnetIDException",
        "SubnetIPAddressLimitReachedException",
    },
    "somebody has to mend the key or its policy": {
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
    },
    "somebody has to raise the account's quota": {"ServiceQuotaExceededException"},
    "the same input would be refused again": {
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "ModeNotSupportedException",
        "RecursiveInvocationException",
        "RequestTooLargeException",
        "SerializedRequestEntityTooLargeException",
        "UnsupportedMediaTypeException",
    },
    "no function of ours has a file system": {
        "EFSIOException",
        "EFSMountConnectivityException",
        "EFSMountFailureException",
        "EFSMountTimeoutException",
        "S3FilesMountConnectivityException",
        "S3FilesMountFailureException",
        "S3FilesMountTimeoutException",
    },
    "no function of ours is started from a snapshot": {
        "SnapStartException",
        "SnapStartNotReadyException",
        "SnapStartRegenerationFailureException",
        "SnapStartTimeoutException",
    },
    "no function of ours is a durable one": {"DurableExecutionAlreadyStartedException"},
}


def documented() -> set[str]:
    model = botocore.session.get_session().get_service_model("lambda")
    return {shape.name for shape in model.operation_model("Invoke").error_shapes}


def undecided(names: set[str]) -> list[str]:
    """Documented errors of which nobody has said what becomes of them."""
    known = PASSING.union(*HOPELESS.values())
    return [
        f"Lambda's Invoke may end with {name}: is it retried?" for name in sorted(names - known)
    ]


def complaints(machine: str, definition: dict) -> list[str]:
    """What the tasks of a machine retry too little, and what in vain."""
    wanted = {f"Lambda.{name}" for name in PASSING | OF_STEP_FUNCTIONS}
    found = []
    for state, task in tasks(definition):
        where = f"{machine}, {state}"
        retried = {
            name for retrier in task.get("Retry", []) if retrier.get("MaxAttempts") != 0
            for name in retrier["ErrorEquals"]
        }
        of_lambda = {name for name in retried if name.startswith("Lambda.")}
        found += [f"{where}: does not retry {name}" for name in sorted(wanted - of_lambda)]
        found += [f"{where}: retries {name} in vain" for name in sorted(of_lambda - wanted)]
    return found


def tasks(definition: dict) -> Iterator[tuple[str, dict]]:
    """The states that call a function, those within maps and branches included."""
    for part in walk(definition):
        if isinstance(part, dict) and isinstance(part.get("States"), dict):
            for state, what in part["States"].items():
                if CALL.search(str(what.get("Resource"))):
                    yield state, what


def judged(machines: dict[str, str]) -> list[str]:
    """What is to be said against machines, by their names, as they are written."""
    found = undecided(documented())
    for name, text in machines.items():
        found += complaints(name, json.loads(text))
    return found
