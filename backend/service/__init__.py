"""The lifecycle over a store: the only writer of state.

Synchronous, and small. Each method is one change; whoever calls it owns the transaction around it.
"""

from __future__ import annotations

from backend.clock import Clock
from backend.lifecycle import Limits
from backend.service.alerts import Alerts
from backend.service.context import Context
from backend.service.keys import Keys
from backend.service.leases import Leases
from backend.service.log import Log
from backend.service.machines import Machines
from backend.service.messages import Messages
from backend.service.operations import Operations
from backend.service.pages import Pages
from backend.service.planning import Drafts, Projects
from backend.service.rules import Rules
from backend.service.runs import Runs
from backend.service.sessions import Sessions
from backend.service.split import Split
from backend.service.tasks import Tasks
from backend.service.transfer import Transfer
from backend.service.transitions import Transitions
from backend.service.why import Why
from backend.store.interface import Store

__all__ = ["Service"]


class Service:
    """Everything that can be asked of, or done to, the state, by noun."""

    def __init__(self, store: Store, clock: Clock, limits: Limits) -> None:
        context = Context(store, clock, limits)
        self.tasks = Tasks(context)
        self.transitions = Transitions(context)
        self.leases = Leases(context)
        self.runs = Runs(context)
        self.messages = Messages(context)
        self.rules = Rules(context)
        self.split = Split(context)
        self.machines = Machines(context)
        self.alerts = Alerts(context)
        self.projects = Projects(context)
        self.transfer = Transfer(context)
        self.drafts = Drafts(context)
        self.why = Why(context)
        self.keys = Keys(context)
        self.operations = Operations(context)
        self.sessions = Sessions(context)
        self.pages = Pages(context)
        self.log = Log(context)
