"""The forms of answers and frames that clients rely on, and how to hold an answer against one.

A form is a predicate, a value that must be equal, a list of one form (any number of such), a tuple
(exactly these), or a dict: exactly these keys, of which those that end in ``?`` may be absent.
Source: Hyperliquid API documentation, info endpoint and subscriptions; the published clients.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Predicate = Callable[[object], bool]

_DEC = re.compile(r"(?:0|[1-9]\d*)\.\d*[1-9]|(?:0|[1-9]\d*)\.0", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_CLOID = re.compile(r"0x[0-9a-f]{32}", re.ASCII)
MS_MIN: Final = 1_500_000_000_000
INTEGER_MAX: Final = 2**53 - 1


def misfits(value: object, form: Any, path: str = "$") -> list[str]:
    """Return where a value differs from a form; nothing if it fits."""
    return list(_misfits(value, form, path))


def _misfits(value: object, form: Any, path: str) -> Iterator[str]:
    match form:
        case dict():
            if not isinstance(value, Mapping):
                yield f"{path}: {value!r} is no object"
                return
            yield from _misfits_of_object(value, form, path)
        case [element]:
            if not isinstance(value, list):
                yield f"{path}: {value!r} is no array"
                return
            for at, item in enumerate(value):
                yield from _misfits(item, element, f"{path}[{at}]")
        case tuple():
            if not isinstance(value, list) or len(value) != len(form):
                yield f"{path}: {value!r} is no array of {len(form)}"
                return
            for at, (item, element) in enumerate(zip(value, form, strict=True)):
                yield from _misfits(item, element, f"{path}[{at}]")
        case _ if callable(form):
            if not form(value):
                yield f"{path}: {value!r} is no {getattr(form, '__name__', form)}"
        case _:
            if value != form:
                yield f"{path}: {value!r} is not {form!r}"


def _misfits_of_object(
    value: Mapping[Any, Any], form: Mapping[str, Any], path: str
) -> Iterator[str]:
    known = {key.removesuffix("?") for key in form}
    yield from (f"{path}.{key}: not expected" for key in value if key not in known)
    for key, element in form.items():
        name = key.removesuffix("?")
        if name in value:
            yield from _misfits(value[name], element, f"{path}.{name}")
        elif name == key:
            yield f"{path}.{name}: missing"


# ---- predicates --------------------------------------------------------------------------------


def dec(value: object) -> bool:
    """A decimal text without sign, in the shortest form that has a decimal."""
    return isinstance(value, str) and bool(_DEC.fullmatch(value))


def sdec(value: object) -> bool:
    """A decimal text that may be negative, and is never a negative zero."""
    return isinstance(value, str) and value != "-0.0" and dec(value.removeprefix("-"))


def num(value: object) -> bool:
    """An integer that every client can hold."""
    return type(value) is int and -INTEGER_MAX <= value <= INTEGER_MAX


def ms(value: object) -> bool:
    """A time in milliseconds."""
    return type(value) is int and MS_MIN < value <= INTEGER_MAX


def flag(value: object) -> bool:
    return isinstance(value, bool)


def text(value: object) -> bool:
    return isinstance(value, str)


def address(value: object) -> bool:
    """An address in lower case."""
    return isinstance(value, str) and bool(_ADDRESS.fullmatch(value))


def tx_hash(value: object) -> bool:
    return isinstance(value, str) and bool(_HASH.fullmatch(value))


def cloid(value: object) -> bool:
    return isinstance(value, str) and bool(_CLOID.fullmatch(value))


def one_of(*values: object) -> Predicate:
    return lambda value: value in values


def null_or(form: Any) -> Predicate:
    return lambda value: value is None or not misfits(value, form)


def either(*forms: Any) -> Predicate:
    return lambda value: any(not misfits(value, form) for form in forms)


def map_of(form: Any) -> Predicate:
    """An object of any keys."""
    return lambda value: (
        isinstance(value, Mapping) and all(not misfits(item, form) for item in value.values())
    )


# ---- forms -------------------------------------------------------------------------------------

SIDE: Final = one_of("B", "A")
TIF: Final = one_of("Gtc", "Ioc", "Alo", "FrontendMarket", "LiquidationMarket", None)

PERP: Final = {
    "name": text,
    "szDecimals": num,
    "maxLeverage": num,
    "marginTableId": num,
    "onlyIsolated?": True,
    "isDelisted?": True,
    "marginMode?": one_of("strictIsolated", "noCross"),
}
MARGIN_TABLE: Final = {
    "description": text,
    "marginTiers": [{"lowerBound": dec, "maxLeverage": num}],
}
META: Final = {"universe": [PERP], "marginTables": [(num, MARGIN_TABLE)], "collateralToken": 0}
PERP_CTX: Final = {
    "funding": sdec,
    "openInterest": dec,
    "prevDayPx": dec,
    "dayNtlVlm": dec,
    "premium": null_or(sdec),
    "oraclePx": dec,
    "markPx": dec,
    "midPx": null_or(dec),
    "impactPxs": null_or((dec, dec)),
    "dayBaseVlm": dec,
}
TOKEN: Final = {
    "name": text,
    "szDecimals": num,
    "weiDecimals": num,
    "index": num,
    "tokenId": cloid,
    "isCanonical": flag,
    "evmContract": null_or(text),
    "fullName": null_or(text),
    "deployerTradingFeeShare": dec,
}
PAIR: Final = {"tokens": (num, num), "name": text, "index": num, "isCanonical": flag}
SPOT_META: Final = {"universe": [PAIR], "tokens": [TOKEN]}
SPOT_CTX: Final = {
    "prevDayPx": dec,
    "dayNtlVlm": dec,
    "markPx": dec,
    "midPx": null_or(dec),
    "circulatingSupply": dec,
    "coin": text,
    "totalSupply": dec,
    "dayBaseVlm": dec,
}
LEVEL: Final = {"px": dec, "sz": dec, "n": num}
BOOK: Final = {
    "coin": text,
    "time": ms,
    "levels": ([LEVEL], [LEVEL]),
    "spread?": dec,
    "fast?": True,
}
CANDLE: Final = {
    "t": ms,
    "T": ms,
    "s": text,
    "i": text,
    "o": dec,
    "c": dec,
    "h": dec,
    "l": dec,
    "v": dec,
    "n": num,
}
TRADE: Final = {
    "coin": text,
    "side": SIDE,
    "px": dec,
    "sz": dec,
    "time": ms,
    "hash": tx_hash,
    "tid": num,
    "users": (address, address),
}
LEVERAGE: Final = either(
    {"type": "cross", "value": num}, {"type": "isolated", "value": num, "rawUsd": sdec}
)
POSITION: Final = {
    "coin": text,
    "szi": sdec,
    "leverage": LEVERAGE,
    "entryPx": dec,
    "positionValue": dec,
    "unrealizedPnl": sdec,
    "returnOnEquity": sdec,
    "liquidationPx": null_or(dec),
    "marginUsed": dec,
    "maxLeverage": num,
    "cumFunding": {"allTime": sdec, "sinceOpen": sdec, "sinceChange": sdec},
}
MARGIN_SUMMARY: Final = {
    "accountValue": sdec,
    "totalNtlPos": dec,
    "totalRawUsd": sdec,
    "totalMarginUsed": dec,
}
CLEARINGHOUSE: Final = {
    "marginSummary": MARGIN_SUMMARY,
    "crossMarginSummary": MARGIN_SUMMARY,
    "crossMaintenanceMarginUsed": dec,
    "withdrawable": dec,
    "assetPositions": [{"type": "oneWay", "position": POSITION}],
    "time": ms,
}
BALANCES: Final = {
    "balances": [{"coin": text, "token": num, "total": dec, "hold": dec, "entryNtl": dec}]
}
ACTIVE_ASSET_DATA: Final = {
    "user": address,
    "coin": text,
    "leverage": LEVERAGE,
    "maxTradeSzs": (dec, dec),
    "availableToTrade": (dec, dec),
    "markPx": dec,
}
BASIC_ORDER: Final = {
    "coin": text,
    "side": SIDE,
    "limitPx": dec,
    "sz": dec,
    "oid": num,
    "timestamp": ms,
    "origSz": dec,
    "cloid?": cloid,
    "reduceOnly?": True,
}
FRONTEND_ORDER: Final[dict[str, Any]] = {
    "coin": text,
    "side": SIDE,
    "limitPx": dec,
    "sz": dec,
    "oid": num,
    "timestamp": ms,
    "origSz": dec,
    "triggerCondition": text,
    "isTrigger": flag,
    "triggerPx": dec,
    "children": lambda value: not misfits(value, [FRONTEND_ORDER]),
    "isPositionTpsl": flag,
    "reduceOnly": flag,
    "orderType": one_of(
        "Market",
        "Limit",
        "Stop Market",
        "Stop Limit",
        "Take Profit Market",
        "Take Profit Limit",
        "Twap Slice",
    ),
    "tif": TIF,
    "cloid": null_or(cloid),
}
ORDER_AND_STATUS: Final = {"order": FRONTEND_ORDER, "status": text, "statusTimestamp": ms}
FILL: Final = {
    "coin": text,
    "px": dec,
    "sz": dec,
    "side": SIDE,
    "time": ms,
    "startPosition": sdec,
    "dir": text,
    "closedPnl": sdec,
    "hash": tx_hash,
    "oid": num,
    "crossed": flag,
    "fee": sdec,
    "tid": num,
    "feeToken": text,
    "twapId": null_or(num),
    "cloid?": cloid,
    "liquidation?": {
        "liquidatedUser?": address,
        "markPx": dec,
        "method": one_of("market", "backstop"),
    },
}
FUNDING: Final = {
    "type": "funding",
    "coin": text,
    "usdc": sdec,
    "szi": sdec,
    "fundingRate": sdec,
    "nSamples": null_or(num),
}
DELTA: Final = either(
    {"type": "deposit", "usdc": dec},
    {"type": "withdraw", "usdc": dec, "nonce": num, "fee": dec},
    {"type": "internalTransfer", "usdc": dec, "user": address, "destination": address, "fee": dec},
    {"type": "accountClassTransfer", "usdc": dec, "toPerp": flag},
    {"type": "subAccountTransfer", "usdc": dec, "user": address, "destination": address},
    {
        "type": "spotTransfer",
        "token": text,
        "amount": dec,
        "usdcValue": dec,
        "user": address,
        "destination": address,
        "fee": dec,
        "nativeTokenFee": dec,
        "nonce": null_or(num),
        "feeToken": text,
    },
    {
        "type": "send",
        "user": address,
        "destination": address,
        "sourceDex": text,
        "destinationDex": text,
        "token": text,
        "amount": dec,
        "usdcValue": dec,
        "fee": dec,
        "nativeTokenFee": dec,
        "nonce": num,
        "feeToken": text,
    },
    {
        "type": "liquidation",
        "liquidatedNtlPos": dec,
        "accountValue": sdec,
        "leverageType": one_of("Cross", "Isolated"),
        "liquidatedPositions": [{"coin": text, "szi": sdec}],
    },
)
HISTORY: Final = {
    "accountValueHistory": [(ms, sdec)],
    "pnlHistory": [(ms, sdec)],
    "vlm": dec,
}
FEES: Final = {
    "dailyUserVlm": [{"date": text, "userCross": dec, "userAdd": dec, "exchange": dec}],
    "feeSchedule": {
        "cross": dec,
        "add": sdec,
        "spotCross": dec,
        "spotAdd": sdec,
        "tiers": {
            "vip": [
                {"ntlCutoff": dec, "cross": dec, "add": sdec, "spotCross": dec, "spotAdd": sdec}
            ],
            "mm": [{"makerFractionCutoff": dec, "add": sdec}],
        },
        "referralDiscount": dec,
        "stakingDiscountTiers": [{"bpsOfMaxSupply": dec, "discount": dec}],
    },
    "userCrossRate": dec,
    "userAddRate": sdec,
    "userSpotCrossRate": dec,
    "userSpotAddRate": sdec,
    "activeReferralDiscount": dec,
    "trial": None,
    "feeTrialEscrow": dec,
    "nextTrialAvailableTimestamp": None,
    "stakingLink": None,
    "activeStakingDiscount": {"bpsOfMaxSupply": dec, "discount": dec},
}
TWAP_STATE: Final = {
    "coin": text,
    "user": address,
    "side": SIDE,
    "sz": dec,
    "executedSz": dec,
    "executedNtl": dec,
    "minutes": num,
    "reduceOnly": flag,
    "randomize": flag,
    "timestamp": ms,
    "stopPx?": null_or(dec),
    "trigger?": null_or({"px": dec, "above": flag}),
}
TWAP_HISTORY: Final = {
    "time": num,
    "state": TWAP_STATE,
    "status": either(
        {"status": one_of("activated", "finished", "terminated", "waitingForTrigger", "stopped")},
        {"status": "error", "description": text},
    ),
    "twapId?": num,
}
SUB_ACCOUNT: Final = {
    "name": text,
    "subAccountUser": address,
    "master": address,
    "clearinghouseState": CLEARINGHOUSE,
    "spotState": BALANCES,
}
WEB_DATA: Final = {
    "clearinghouseState": CLEARINGHOUSE,
    "leadingVaults": [text],
    "totalVaultEquity": dec,
    "openOrders": [FRONTEND_ORDER],
    "agentAddress": null_or(address),
    "agentValidUntil": null_or(ms),
    "cumLedger": sdec,
    "meta": META,
    "assetCtxs": [PERP_CTX],
    "serverTime": ms,
    "isVault": flag,
    "user": address,
    "twapStates": [(num, TWAP_STATE)],
    "spotState?": BALANCES,
    "spotAssetCtxs": [SPOT_CTX],
}
PERIODS: Final = (
    "day",
    "week",
    "month",
    "allTime",
    "perpDay",
    "perpWeek",
    "perpMonth",
    "perpAllTime",
)

ANSWERS: Final[dict[str, Any]] = {
    "meta": META,
    "spotMeta": SPOT_META,
    "metaAndAssetCtxs": (META, [PERP_CTX]),
    "spotMetaAndAssetCtxs": (SPOT_META, [SPOT_CTX]),
    "allPerpMetas": [META],
    "perpDexs": (None,),
    "outcomeMeta": {"outcomes": [text], "questions": [text]},
    "exchangeStatus": {"time": ms, "specialStatuses": null_or([text])},
    "allMids": map_of(dec),
    "l2Book": BOOK,
    "candleSnapshot": [CANDLE],
    "recentTrades": [TRADE],
    "fundingHistory": [{"coin": text, "fundingRate": sdec, "premium": sdec, "time": ms}],
    "clearinghouseState": CLEARINGHOUSE,
    "spotClearinghouseState": BALANCES,
    "activeAssetData": ACTIVE_ASSET_DATA,
    "openOrders": [BASIC_ORDER],
    "frontendOpenOrders": [FRONTEND_ORDER],
    "orderStatus": either({"status": "order", "order": ORDER_AND_STATUS}, {"status": "unknownOid"}),
    "historicalOrders": [ORDER_AND_STATUS],
    "userFills": [FILL],
    "userFillsByTime": [FILL],
    "userFunding": [{"time": ms, "hash": tx_hash, "delta": FUNDING}],
    "userNonFundingLedgerUpdates": [{"time": ms, "hash": tx_hash, "delta": DELTA}],
    "userFees": FEES,
    "userRateLimit": {
        "cumVlm": dec,
        "nRequestsUsed": num,
        "nRequestsCap": num,
        "nRequestsSurplus": num,
    },
    "userRole": either(
        {"role": one_of("user", "missing", "vault")},
        {"role": "agent", "data": {"user": address}},
        {"role": "subAccount", "data": {"master": address}},
    ),
    "userAbstraction": "default",
    "extraAgents": [{"address": address, "name": text, "validUntil": null_or(ms)}],
    "subAccounts": null_or([SUB_ACCOUNT]),
    "portfolio": tuple((period, HISTORY) for period in PERIODS),
    # ---- tier 2
    "marginTable": MARGIN_TABLE,
    "predictedFundings": [
        (
            text,
            [
                (
                    "HlPerp",
                    {"fundingRate": sdec, "nextFundingTime": ms, "fundingIntervalHours?": num},
                )
            ],
        )
    ],
    "perpsAtOpenInterestCap": [text],
    "maxMarketOrderNtls": [(num, dec)],
    "twapHistory": [TWAP_HISTORY],
    "userTwapSliceFills": [{"fill": FILL, "twapId": num}],
    "userTwapSliceFillsByTime": [{"fill": FILL, "twapId": num}],
    "referral": {
        "referredBy": None,
        "cumVlm": dec,
        "unclaimedRewards": dec,
        "claimedRewards": dec,
        "builderRewards": dec,
        "referrerState": {"stage": text, "data": {"required": dec}},
        "rewardHistory": [text],
        "tokenToState": [text],
    },
    "maxBuilderFee": num,
    "approvedBuilders": [address],
    "webData2": WEB_DATA,
    "userVaultEquities": [text],
    "userDexAbstraction": null_or(flag),
    "userToMultiSigSigners": None,
    "subAccounts2": null_or(
        [
            {
                "name": text,
                "subAccountUser": address,
                "master": address,
                "dexToClearinghouseState": (("", CLEARINGHOUSE),),
                "spotState": BALANCES,
            }
        ]
    ),
    "preTransferCheck": {
        "fee": dec,
        "isSanctioned": flag,
        "userExists": flag,
        "userHasSentTx": flag,
    },
    "legalCheck": {"acceptedTerms": flag, "userAllowed": flag, "restrictions": text},
    "isVip": null_or(flag),
    "tokenDetails": map_of(lambda _value: True),
    "liquidatable": [text],
    "perpDexLimits": None,
    "perpDexStatus": {"totalNetDeposit": dec},
    "delegatorSummary": {
        "delegated": dec,
        "undelegated": dec,
        "totalPendingWithdrawal": dec,
        "nPendingWithdrawals": num,
    },
    "delegations": [text],
    "delegatorRewards": [text],
    "delegatorHistory": [text],
}
"""What each question of tiers 1 and 2 is answered with."""

FUNDING_FRAME: Final = {
    "time": ms,
    "coin": text,
    "usdc": sdec,
    "szi": sdec,
    "fundingRate": sdec,
    "nSamples": null_or(num),
}

FRAMES: Final[dict[str, Any]] = {
    "allMids": {"mids": map_of(dec)},
    "l2Book": BOOK,
    "bbo": {"coin": text, "time": ms, "bbo": (null_or(LEVEL), null_or(LEVEL))},
    "trades": [TRADE],
    "candle": CANDLE,
    "activeAssetCtx": {"coin": text, "ctx": PERP_CTX},
    "activeAssetData": ACTIVE_ASSET_DATA,
    "orderUpdates": [{"order": BASIC_ORDER, "status": text, "statusTimestamp": ms}],
    "userEvents": either(
        {"fills": [FILL]},
        {"funding": FUNDING_FRAME},
        {"nonUserCancel": [{"coin": text, "oid": num}]},
        {
            "liquidation": {
                "lid": num,
                "liquidator": address,
                "liquidated_user": address,
                "liquidated_ntl_pos": dec,
                "liquidated_account_value": sdec,
            }
        },
        {"twapHistory": [TWAP_HISTORY]},
        {"twapSliceFills": [{"fill": FILL, "twapId": num}]},
    ),
    "userFills": {"isSnapshot?": True, "user": address, "fills": [FILL]},
    "userFundings": {"isSnapshot?": True, "user": address, "fundings": [FUNDING_FRAME]},
    "userNonFundingLedgerUpdates": {
        "isSnapshot?": True,
        "user": address,
        "nonFundingLedgerUpdates": [{"time": ms, "hash": tx_hash, "delta": DELTA}],
    },
    "openOrders": {"dex": "", "user": address, "orders": [FRONTEND_ORDER]},
    "clearinghouseState": {"dex": "", "user": address, "clearinghouseState": CLEARINGHOUSE},
    "webData2": WEB_DATA,
    # ---- tier 2
    "spotState": {"user": address, "spotState": BALANCES},
    "notification": {"notification": text},
    "userHistoricalOrders": {
        "isSnapshot?": True,
        "user": address,
        "orderHistory": [ORDER_AND_STATUS],
    },
    "userTwapSliceFills": {
        "isSnapshot?": True,
        "user": address,
        "twapSliceFills": [{"fill": FILL, "twapId": num}],
    },
    "userTwapHistory": {"isSnapshot?": True, "user": address, "history": [TWAP_HISTORY]},
    "twapStates": {"dex": "", "user": address, "states": [(num, TWAP_STATE)]},
    "assetCtxs": {"dex": "", "ctxs": [PERP_CTX]},
    "spotAssetCtxs": [SPOT_CTX],
    "allDexsAssetCtxs": {"ctxs": (("", [PERP_CTX]),)},
    "allDexsClearinghouseState": {
        "user": address,
        "clearinghouseStates": (("", CLEARINGHOUSE),),
    },
    "webData3": {
        "userState": {
            "agentAddress": null_or(address),
            "agentValidUntil": null_or(ms),
            "cumLedger": sdec,
            "serverTime": ms,
            "isVault": flag,
            "user": address,
        },
        "perpDexStates": [{"totalVaultEquity": dec}],
    },
}
"""What a frame of each channel of tiers 1 and 2 holds as its ``data``."""
