"""The figures of the overview."""

from datetime import date

from pydantic import BaseModel, Field


class Period(BaseModel):
    """The last days."""

    days: int = Field(description="Length of the period that ends now.")
    active: int = Field(description="Devices that were active in it.")
    new: int = Field(description="Devices that were registered in it.")
    gone: int = Field(
        description="Devices that had not been active for 30 days for the first time in it, and"
        " have not been active since."
    )


class Version(BaseModel):
    """The devices with one version."""

    version: str | None = Field(description="The version; null for devices that report none.")
    devices: int = Field(description="Devices with this version.")


class Rest(BaseModel):
    """What is too rare to be listed."""

    values: int = Field(description="Number of different values.")
    devices: int = Field(description="Number of devices with any of them.")


class Group(BaseModel):
    """The devices with one application or system."""

    name: str | None = Field(description="The name; null for devices that report none.")
    devices: int = Field(description="Devices with any of its versions.")
    versions: list[Version] = Field(description="The most common versions, highest first.")
    other_versions: Rest = Field(description="All other versions.")


class UploadDay(BaseModel):
    """The uploads of one day in UTC."""

    day: date = Field(description="The day.")
    uploads: int = Field(description="Uploads of all devices.")


class Overview(BaseModel):
    """Figures of all devices at one time."""

    total: int = Field(description="All devices but archived ones, like all other figures.")
    archived: int = Field(description="Archived devices.")
    periods: list[Period] = Field(description="The last day, 7 days and 30 days.")
    blocked: int = Field(description="Blocked devices.")
    denied: int = Field(description="Blocked devices that have sent a request since.")
    no_upload: int = Field(description="Devices active in the last 7 days, but without an upload.")
    stopped_uploading: int = Field(description="Those of them that have uploaded before.")
    applications: list[Group] = Field(
        description="The devices that were active in the last 30 days, by application. The most"
        " common ones, most devices first."
    )
    other_applications: Rest = Field(description="All other applications.")
    systems: list[Group] = Field(description="The same devices, by system.")
    other_systems: Rest = Field(description="All other systems.")
    uploads: list[UploadDay] = Field(
        description="The last 90 days in UTC, oldest first. Counted up to a minute late."
    )

    def period(self, days: int) -> Period:
        """Return the period of this many days."""
        return next(each for each in self.periods if each.days == days)
