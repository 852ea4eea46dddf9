"""Each of AWS's failures is one sentence that names the call, the region and the remedy, and never a key."""

import pytest
from botocore import exceptions as failed

from core.errors import Code, CrpbotError
from tests.fake_aws.faults import Refusal
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import SAID, clean, explain, quota

CODES = sorted({*SAID, *(each.value.code for each in Refusal), "SomethingNew"})
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjE" * 10


def said(code: str, words: str = "no", **asked: object) -> CrpbotError:
    error = failed.ClientError({"Error": {"Code": code, "Message": words}}, "RunInstances")
    return explain(error, "ec2:RunInstances", "eu-west-1", asked)


@pytest.mark.parametrize("code", CODES)
def test_every_code_becomes_a_sentence_with_call_region_and_remedy(code: str) -> None:
    error = said(code, f"long words {TOKEN} with {KEY} in them", InstanceType="t3.large")
    assert error.detail.startswith("ec2:RunInstances in eu-west-1: ")
    assert "; remedy: " in error.detail
    assert "{" not in error.detail
    assert "\n" not in error.detail
    assert KEY not in error.detail
    assert TOKEN not in error.detail


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (failed.NoCredentialsError(), "NO_CREDENTIALS"),
        (failed.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "NO_CREDENTIALS"),
        (failed.ProfileNotFound(profile="firm"), "NO_CREDENTIALS"),
        (failed.UnauthorizedSSOTokenError(), "CREDENTIALS_EXPIRED"),
        (failed.SSOTokenLoadError(error_msg="none"), "CREDENTIALS_EXPIRED"),
        (failed.TokenRetrievalError(provider="sso", error_msg="none"), "CREDENTIALS_EXPIRED"),
        (failed.CredentialRetrievalError(provider="process", error_msg=SECRET), "CREDENTIALS_EXPIRED"),
        (failed.InvalidRegionError(region_name="x y"), "UNKNOWN_REGION"),
        (failed.ParamValidationError(report="MinCount is no number"), "REFUSED_BY_AWS"),
        (failed.EndpointConnectionError(endpoint_url="https://ec2.eu-west-1.amazonaws.com"), "AWS_UNREACHABLE"),
        (failed.ConnectTimeoutError(endpoint_url="https://ec2"), "AWS_UNREACHABLE"),
        (failed.ReadTimeoutError(endpoint_url="https://ec2"), "AWS_UNREACHABLE"),
        (failed.ConnectionClosedError(endpoint_url="https://ec2"), "AWS_UNREACHABLE"),
        (failed.SSLError(endpoint_url="https://ec2", error="certificate"), "AWS_UNREACHABLE"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_call_without_an_answer_is_told_likewise(error: Exception, reason: str) -> None:
    told = explain(error, "sts:GetCallerIdentity", "eu-west-1", {})
    assert told.reason == reason
    assert told.detail.startswith("sts:GetCallerIdentity in eu-west-1: ")
    assert "; remedy: " in told.detail
    assert SECRET not in told.detail


def test_the_right_that_is_missing_is_named_with_the_file_that_has_it() -> None:
    words = (
        "User: arn:aws:iam::1:user/x is not authorized to perform: iam:PassRole on resource: role crpbot-training-head"
    )
    detail = said("UnauthorizedOperation", words).detail
    assert "may not do iam:PassRole; remedy: give them the rights in deploy/aws/launcher-policy.json" in detail


@pytest.mark.parametrize(
    ("instance_type", "is_spot", "code"),
    [
        ("t3.large", False, "L-1216C47A"),
        ("t3.large", True, "L-34B43A08"),
        ("g4dn.xlarge", False, "L-DB2E81BA"),
        ("g4dn.xlarge", True, "L-3819A6DF"),
        ("vt1.3xlarge", False, "L-DB2E81BA"),
    ],
)
def test_the_quota_that_a_machine_counts_against_is_named(instance_type: str, is_spot: bool, code: str) -> None:
    asked = {"InstanceType": instance_type} | ({"InstanceMarketOptions": {"MarketType": "spot"}} if is_spot else {})
    error = said("MaxSpotInstanceCountExceeded" if is_spot else "VcpuLimitExceeded", **asked)
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert quota(instance_type, is_spot=is_spot)[1] == code
    assert f"servicequotas/home/services/ec2/quotas/{code}" in error.detail


def test_long_words_are_cut_and_keys_are_taken_out() -> None:
    assert clean(f"the key {KEY} of\n somebody.") == "the key ... of somebody"
    assert clean(f"encoded {TOKEN}") == "encoded ..."
    assert len(clean("word " * 200)) < 320


def test_a_cloud_asks_nobody_before_its_first_call() -> None:
    Cloud("nowhere-at-all")  # no error: nothing was looked up yet


def test_a_profile_that_is_not_there_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-the-firm")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(CrpbotError, match=r"profile \(of-the-firm\) could not be found; remedy: set AWS_PROFILE"):
        Cloud("us-east-1").ask("sts", "get_caller_identity")


@pytest.mark.parametrize(("wrong", "near"), [("us-east-11", "us-east-1"), ("eu-central1", "eu-central-1"), ("", "af-")])
def test_an_unknown_region_is_told_with_those_that_are_near(wrong: str, near: str) -> None:
    with pytest.raises(
        CrpbotError, match=rf"unknown AWS region '{wrong}'; did you mean .*{near}.*remedy: provider\.region"
    ):
        Cloud(wrong).check_region()


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1"])
def test_regions_of_every_partition_are_known(region: str) -> None:
    Cloud(region).check_region()
