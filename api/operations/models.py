"""The trained models: the operations of the ModelService."""

from __future__ import annotations

from api.operation import MAX_TIMEOUT_SECONDS, Call, Operation
from core.forecasts.desk import ModelDesk
from core.forecasts.requests import (
    ForecastRequest,
    ForecastResponse,
    GetModelReportRequest,
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelReport,
)

SERVICE = "ModelService"
MODEL = "/v1/models/{version}"


def model_operations(desk: ModelDesk) -> tuple[Operation, ...]:
    """Which models there are, all about one of them, its report, and what they say now."""

    async def list_models(request: ListModelsRequest, _call: Call) -> ListModelsResponse:
        return await desk.list_models(request)

    async def get_model(request: GetModelRequest, _call: Call) -> Model:
        return await desk.get_model(request)

    async def get_report(request: GetModelReportRequest, _call: Call) -> ModelReport:
        return await desk.get_report(request)

    async def forecast(request: ForecastRequest, call: Call) -> ForecastResponse:
        return await desk.forecast(request, timeout_seconds=call.timeout_seconds)

    return (
        Operation(
            *(SERVICE, "ListModels", "GET", "/v1/models", ListModelsRequest, ListModelsResponse, list_models),
            summary="List the models, and which of them this server asks now",
            description="Every version of the folder: promoted, candidate, kept or damaged, with the fault.",
        ),
        Operation(
            *(SERVICE, "GetModel", "GET", MODEL, GetModelRequest, Model, get_model),
            summary="All about one model: what it reads, what the gate found, and its live score",
            patience_seconds=MAX_TIMEOUT_SECONDS,
        ),
        Operation(
            *(SERVICE, "GetModelReport", "GET", f"{MODEL}/report", GetModelReportRequest, ModelReport, get_report),
            summary="The promotion gate's report as a page",
            description="HTML where `Accept` asks for it, as a browser does; else JSON with the page in a field.",
            page="page",
        ),
        Operation(
            *(SERVICE, "Forecast", "POST", "/v1/forecast", ForecastRequest, ForecastResponse, forecast),
            summary="What the models say of one symbol or several",
            description="The ensemble, each model alone, and the candidates; a model that does not speak says why.",
        ),
    )
