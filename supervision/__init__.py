"""Actors, mailboxes and supervisors for Trio.

A library of its own: it knows Trio and attrs and nothing of the program that uses it.

Start reading at `actor` (what a program writes), `spec` (how it arranges a tree) and `system` (how
it runs one). `docs/supervision.md` states what a user may rely on.
"""

from supervision.actor import Actor, Context
from supervision.address import Address
from supervision.cell import Down, Exit, Kind, State
from supervision.control import ChildCounts, ChildStatus, Supervisor
from supervision.deadletters import DeadLetter, DeadLetters, DeadReason
from supervision.envelope import Envelope, InHand, Reply
from supervision.errors import (
    AlreadyPresent,
    AlreadyStarted,
    AnsweredTwice,
    AskCycle,
    AskError,
    ControlError,
    ControlLaneFull,
    InitFailed,
    InitTimeout,
    MailboxFull,
    NoReply,
    NotFound,
    NotUnderstood,
    PoolFull,
    Restarting,
    ServerDied,
    SpecError,
    StartError,
    StashFull,
    StillRunning,
    Stopped,
    SupervisionError,
    SupervisorFailed,
    UnknownPath,
    WaitedTooLong,
)
from supervision.hooks import Event, Hooks, Report, Shed
from supervision.inspection import Inspection, Statistics
from supervision.mailbox import Delivery, MailboxSpec, OnFull
from supervision.pool import Pool
from supervision.registry import Registry
from supervision.restarts import NO_BACKOFF, Backoff, Budget, ExitKind, Restart
from supervision.signals import Ignore, Stash, Stop, Unhandled
from supervision.spec import AutoShutdown, ChildSpec, PoolSpec, SupervisorSpec, Task
from supervision.strategies import Strategy
from supervision.survey import Crowd, Surveyed
from supervision.system import System, open_system
from supervision.trace import Direction, LastEvents, MessageEvent, Trace
from supervision.tree import NodeStatus, Wait
from supervision.usage import Usage, UsageMeter

__all__ = [
    "NO_BACKOFF",
    "Actor",
    "Address",
    "AlreadyPresent",
    "AlreadyStarted",
    "AnsweredTwice",
    "AskCycle",
    "AskError",
    "AutoShutdown",
    "Backoff",
    "Budget",
    "ChildCounts",
    "ChildSpec",
    "ChildStatus",
    "Context",
    "ControlError",
    "ControlLaneFull",
    "Crowd",
    "DeadLetter",
    "DeadLetters",
    "DeadReason",
    "Delivery",
    "Direction",
    "Down",
    "Envelope",
    "Event",
    "Exit",
    "ExitKind",
    "Hooks",
    "Ignore",
    "InHand",
    "InitFailed",
    "InitTimeout",
    "Inspection",
    "Kind",
    "LastEvents",
    "MailboxFull",
    "MailboxSpec",
    "MessageEvent",
    "NoReply",
    "NodeStatus",
    "NotFound",
    "NotUnderstood",
    "OnFull",
    "Pool",
    "PoolFull",
    "PoolSpec",
    "Registry",
    "Reply",
    "Report",
    "Restart",
    "Restarting",
    "ServerDied",
    "Shed",
    "SpecError",
    "StartError",
    "Stash",
    "StashFull",
    "State",
    "Statistics",
    "StillRunning",
    "Stop",
    "Stopped",
    "Strategy",
    "SupervisionError",
    "Supervisor",
    "SupervisorFailed",
    "SupervisorSpec",
    "Surveyed",
    "System",
    "Task",
    "Trace",
    "Unhandled",
    "UnknownPath",
    "Usage",
    "UsageMeter",
    "Wait",
    "WaitedTooLong",
    "open_system",
]
