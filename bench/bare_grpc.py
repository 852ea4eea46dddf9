"""The least that answers over gRPC: grpc.aio, one process, no limits, no deadlines, no checks. The yardstick."""

import sys

import grpc
import numpy as np
import uvloop

from core.analyzers import discover, evaluate
from core.market import COLUMNS, Windows
from protos import crpbot_pb2, crpbot_pb2_grpc


class Service(crpbot_pb2_grpc.AnalysisServiceServicer):
    async def Analyze(self, request, context):  # noqa: N802  # the contract's name
        series = request.candles[0]
        block = np.array([[getattr(series, column)] for column in COLUMNS])
        windows = Windows((series.symbol,), series.interval, np.array([series.open_times_ms]), block)
        found = [evaluate(discover()[name], windows)[0] for name in request.theories]
        readings = [crpbot_pb2.Reading(theory=r.theory, values=r.values, vote=r.vote, words=r.words) for r in found]
        return crpbot_pb2.AnalyzeResponse(analyses=[crpbot_pb2.Analysis(symbol=series.symbol, readings=readings)])


async def serve(port: str) -> None:
    server = grpc.aio.server()
    crpbot_pb2_grpc.add_AnalysisServiceServicer_to_server(Service(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


uvloop.run(serve(sys.argv[1]))
