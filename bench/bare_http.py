"""The least that answers over HTTP: FastAPI, one process, no limits, no deadlines, no checks. The yardstick."""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

from core.analysis import Reading
from core.analyzers import discover, evaluate
from core.market import COLUMNS, Windows

Series = create_model(
    "Series", symbol=str, interval=str, open_times_ms=list[int], **dict.fromkeys(COLUMNS, list[float])
)
Request = create_model("Request", candles=list[Series], theories=list[str])
app = FastAPI()


@app.post("/v1/analyze")
async def analyze(request: Request) -> list[Reading]:
    series = request.candles[0]
    block = np.array([[getattr(series, column)] for column in COLUMNS])
    windows = Windows((series.symbol,), series.interval, np.array([series.open_times_ms]), block)
    return [evaluate(discover()[name], windows)[0] for name in request.theories]


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
