"""How a mixture routes: who is sent to which expert, and what that does to the gaps."""

from moe.routing.disparity import RoutingDisparity, routing_disparity
from moe.routing.flip import RoutingFlip, routing_flip
from moe.routing.gap_parts import GapParts, gap_decomposition
from moe.routing.oracle_gap import OracleGap, oracle_gap
from moe.routing.report import RoutingReport, routing_report
from moe.routing.route_flip import ROUTE_FLIP, RouteFlip, route_flip
from moe.routing.routed import Routed, expert_name
from moe.routing.specialisation import Specialisation, specialisation
from moe.routing.table import routing_table

__all__ = [
    "ROUTE_FLIP",
    "GapParts",
    "OracleGap",
    "RouteFlip",
    "Routed",
    "RoutingDisparity",
    "RoutingFlip",
    "RoutingReport",
    "Specialisation",
    "expert_name",
    "gap_decomposition",
    "oracle_gap",
    "route_flip",
    "routing_disparity",
    "routing_flip",
    "routing_report",
    "routing_table",
    "specialisation",
]
