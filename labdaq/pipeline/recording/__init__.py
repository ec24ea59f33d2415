"""What is kept of a run.

`record`     a scan and a folder              `scratch`   a folder that goes away, of a run that is not kept
`owner`      the process that drives it
`describing` its configuration                `diagram`   its data flow                    `notes`  what people noted
"""
