"""Makes, changes and removes one stack of ROS, and waits for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple

from infra.provision.rpc_calls import Json, Refused, Unknown
from infra.provision.stack_watch import Stack, StackError, StackWatch

CREATE_MINUTES_MAX = 60
BUCKETS = ("InputBucket", "OutputBucket")
"""Resources that ROS cannot delete while something is in them."""
_NEVER_MADE = ("CREATE_FAILED", "CREATE_ROLLBACK_COMPLETE", "CREATE_ROLLBACK_FAILED")
_SAME_STACK = "same stack"


class Change(NamedTuple):
    """A template with its parameters, as it is sent."""

    body: str
    parameters: Mapping[str, str]

    def named(self) -> dict[str, str]:
        """Encode both for the interface."""
        named = {"TemplateBody": self.body}
        for number, (key, value) in enumerate(sorted(self.parameters.items()), start=1):
            named[f"Parameters.{number}.ParameterKey"] = key
            named[f"Parameters.{number}.ParameterValue"] = value
        return named


class Stacks:
    """Changes the stack that ``watch`` looks at.

    A ``disposable`` one holds nothing: what could not be made stays as far as
    it was made, and is removed before the next attempt.
    """

    def __init__(self, watch: StackWatch, *, disposable: bool = False) -> None:
        self._watch = watch
        self._disposable = disposable

    def find(self) -> Stack | None:
        """The stack as of now; None when there is none."""
        return self._watch.find()

    def validate(self, body: str) -> None:
        """Let ROS check the template. Raises ``Refused`` with what it finds."""
        self._watch.read("ValidateTemplate", {"TemplateBody": body})

    def preview(self, change: Change) -> list[Json]:
        """What a change would do to each resource; changes nothing."""
        stack = self._watch.find()
        named = {"StackName": self._watch.name, **change.named(), **({"StackId": stack.stack_id} if stack else {})}
        resources: list[Json] = self._watch.read("PreviewStack", named)["Stack"].get("Resources") or []
        return resources

    def bring_up(self, change: Change) -> Stack:
        """Make the stack or change it, and wait until that is done."""
        stack = self.settle()
        if stack is not None and self._disposable and not _can_be_changed(stack):
            stack = self._delete(stack.stack_id, kept=())
        if stack is None:
            return self._create(change)
        if not _can_be_changed(stack):
            raise StackError(
                f"stack {self._watch.name} is {stack.status} and cannot be changed ({stack.reason}); "
                "see why with `outputs`, then remove it with `down` and begin again"
            )
        return self._update(stack, change)

    def bring_down(self, *, forced: bool, body: str) -> list[str]:
        """Remove the stack, and wait. Returns the buckets that stay because objects are in them.

        With ``forced`` nothing stays: the buckets go with their objects.
        """
        stack = self.settle()
        if stack is None:
            return []
        if forced and _can_be_changed(stack):
            self._update(stack, Change(body, {**_own(stack.parameters), "EmptyBuckets": "true"}))
        after = self._delete(stack.stack_id, kept=())
        if after is None:
            return []
        full = self._watch.undeletable(stack.stack_id)
        if forced or not full or not set(full) <= set(BUCKETS):
            raise self._failure(after)
        self._watch.report(f"keeping {', '.join(full)}: there are objects in it")
        after = self._delete(stack.stack_id, kept=full)
        if after is not None:
            raise self._failure(after)
        return [stack.outputs.get(name, name) for name in full]

    def settle(self) -> Stack | None:
        """The stack once whatever was begun before is over."""
        stack = self._watch.find()
        if stack is not None and stack.moving:
            self._watch.report(f"{self._watch.name} is {stack.status} from before; waiting for that")
            return self._watch.wait(stack.stack_id)
        return stack

    def _create(self, change: Change) -> Stack:
        named = {
            "StackName": self._watch.name,
            **change.named(),
            "TimeoutInMinutes": str(CREATE_MINUTES_MAX),
            "DisableRollback": str(self._disposable).lower(),
            "ClientToken": secrets.token_hex(16),
        }
        self._watch.report(f"creating {self._watch.name}")
        stack_id = self._begin_create(named)
        return self._expect(stack_id, {"CREATE_COMPLETE"})

    def _begin_create(self, named: Mapping[str, str]) -> str:
        """Begin once. A lost answer is resolved by looking for the stack, and repeating under the same token."""
        for _ in range(3):
            try:
                answer = self._watch.retry.insist(lambda: self._watch.call("CreateStack", named))
                return str(answer["StackId"])
            except (Unknown, Refused) as error:
                stack = self._watch.find()
                if stack is not None and (isinstance(error, Unknown) or error.code == "StackExists"):
                    self._watch.report("the answer was lost; the stack is there")
                    return stack.stack_id
                if isinstance(error, Refused):
                    raise
                self._watch.report(f"{error}; nothing was made, trying again")
        raise StackError(f"cannot reach ROS to create {self._watch.name}")

    def _update(self, stack: Stack, change: Change) -> Stack:
        named = {"StackId": stack.stack_id, **change.named(), "ClientToken": secrets.token_hex(16)}
        self._watch.report(f"updating {self._watch.name}")
        if not self._begin_update(stack, named):
            self._watch.report("nothing to change")
            return stack
        return self._expect(stack.stack_id, {"UPDATE_COMPLETE"})

    def _begin_update(self, stack: Stack, named: Mapping[str, str]) -> bool:
        """False: the stack is like that already."""
        for _ in range(3):
            try:
                self._watch.retry.insist(lambda: self._watch.call("UpdateStack", named))
            except Refused as error:
                if error.code == "NotSupported" and _SAME_STACK in error.message:
                    return False
                raise
            except Unknown as error:
                now = self._watch.get(stack.stack_id)
                if now is not None and now.moving:
                    self._watch.report("the answer was lost; the update is going on")
                    return True
                # Under the same token a repeat is answered like the first, whatever became of it.
                self._watch.report(f"{error}; trying again")
                continue
            return True
        raise StackError(f"cannot reach ROS to update {self._watch.name}")

    def _delete(self, stack_id: str, *, kept: tuple[str, ...]) -> Stack | None:
        """The stack when it could not be deleted, else None."""
        named = {"StackId": stack_id}
        for number, resource in enumerate(kept, start=1):
            named[f"RetainResources.{number}"] = resource
        self._watch.report(f"deleting {self._watch.name}")
        # A repeat asks for what is going on already, so an unknown outcome is simply asked for again.
        try:
            self._watch.retry.repeat(lambda: self._watch.call("DeleteStack", named))
        except Refused as error:
            if error.code != "StackNotFound":
                raise
        return self._watch.wait(stack_id)

    def _expect(self, stack_id: str, wanted: set[str]) -> Stack:
        stack = self._watch.wait(stack_id)
        if stack is None or stack.status not in wanted:
            raise self._failure(stack)
        return stack

    def _failure(self, stack: Stack | None) -> StackError:
        if stack is None:
            return StackError(f"stack {self._watch.name} is gone")
        lines = "".join(f"\n  {reason}" for reason in self._watch.failures(stack))
        return StackError(f"stack {self._watch.name} ended as {stack.status}: {stack.reason}{lines}")


def _can_be_changed(stack: Stack) -> bool:
    return stack.status not in _NEVER_MADE and not stack.status.startswith("DELETE")


def _own(parameters: Mapping[str, str]) -> dict[str, str]:
    """Without those that ROS adds."""
    return {name: value for name, value in parameters.items() if not name.startswith("ALIYUN::")}
