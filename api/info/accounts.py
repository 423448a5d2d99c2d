"""Answers about accounts: what they hold, and who acts for whom."""

from __future__ import annotations

from api.gateway import Gateway
from api.info.questions import Question, check_dex, coin_of, user_of
from api.wire import account, terms
from api.wire.frames import MAIN_DEX, encode
from model.ids import Address
from model.views.account import AccountView
from model.views.summary import asset_summary


async def account_state(gateway: Gateway, question: Question) -> bytes:
    """Answer ``clearinghouseState``."""
    check_dex(question)
    wire = gateway.wires.accounts
    return await gateway.read_account(
        user_of(question), lambda view: encode(wire.account_state(view))
    )


async def spot_state(gateway: Gateway, question: Question) -> bytes:
    """Answer ``spotClearinghouseState``."""
    universe = gateway.directory.universe
    return await gateway.read_account(
        user_of(question),
        lambda view: encode(account.spot_state(view.purse.balances(), universe)),
    )


async def active_asset_data(gateway: Gateway, question: Question) -> bytes:
    """Answer ``activeAssetData``; null for a market without margin, or without a name."""
    user, instrument = user_of(question), coin_of(gateway, question)
    if instrument is None or instrument.is_spot:
        return b"null"
    marks = gateway.board.marks()
    return await gateway.read_account(
        user,
        lambda view: encode(
            account.active_asset_data(
                user, asset_summary(view, instrument.asset, marks), instrument
            )
        ),
    )


def user_role(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userRole``."""
    user, directory = user_of(question), gateway.directory
    return encode(
        terms.user_role(
            known=user in directory.accounts,
            agent_of=directory.master_of(user),
            master=directory.sub_accounts.get(user),
        )
    )


async def extra_agents(gateway: Gateway, question: Question) -> bytes:
    """Answer ``extraAgents``: the named ones."""
    time_ms = gateway.directory.time_ms
    return await gateway.read_account(
        user_of(question), lambda view: encode(terms.extra_agents(view.agents(time_ms)))
    )


async def sub_accounts(gateway: Gateway, question: Question) -> bytes:
    """Answer ``subAccounts``; null where there are none."""
    found = await _sub_accounts(gateway, user_of(question))
    return encode(found or None)


async def sub_accounts_by_dex(gateway: Gateway, question: Question) -> bytes:
    """Answer ``subAccounts2``; null where there are none."""
    found = await _sub_accounts(gateway, user_of(question))
    by_dex = [
        account.SubAccountByDex(
            one.name,
            one.sub_account_user,
            one.master,
            ((MAIN_DEX, one.clearinghouse_state),),
            one.spot_state,
        )
        for one in found
    ]
    return encode(by_dex or None)


async def web_data(gateway: Gateway, question: Question) -> bytes:
    """Answer ``webData2``: what the channel of that name shows."""
    wire = gateway.wires.accounts
    return await gateway.read_account(user_of(question), lambda view: encode(wire.web_data(view)))


def transfer_check(gateway: Gateway, question: Question) -> bytes:
    """Answer ``preTransferCheck``."""
    user_of(question, "source")
    return encode(terms.transfer_check(known=user_of(question) in gateway.directory.accounts))


async def _sub_accounts(gateway: Gateway, master: Address) -> list[account.SubAccountShape]:
    """Return the sub-accounts of an account, in the order in which they were opened."""
    names = await gateway.read_account(master, lambda view: dict(view.sub_accounts))
    wire, universe = gateway.wires.accounts, gateway.directory.universe
    found: list[account.SubAccountShape] = []
    for address, name in names.items():

        def shape(
            view: AccountView, address: Address = address, name: str = name
        ) -> account.SubAccountShape:
            return account.SubAccountShape(
                name,
                address,
                master,
                wire.account_state(view),
                account.spot_state(view.purse.balances(), universe),
            )

        found.append(await gateway.read_account(address, shape))
    return found
