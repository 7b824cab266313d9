*** Settings ***
Documentation       Firmware for a board runs in Renode. `emu robot` runs this suite for each board.
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Start Board
Test Teardown       Test Teardown
Test Timeout        600 seconds
Resource            keywords.resource

*** Variables ***
${CREATE_SNAPSHOT_ON_FAIL}      False

*** Test Cases ***
Firmware Boots
    [Documentation]    The firmware reaches its first emu_yield and has a mailbox.
    Load Firmware    ${KWS}
    Run Until Yield    ${KWS}
    ${magic}=    Ask For Number    sysbus ReadDoubleWord ${KWS}[mailbox_address]
    Should Be Equal As Integers    ${magic}    ${MAILBOX_MAGIC}

Words Are Recognised As In PyTorch
    Load Firmware    ${KWS}
    Labels Should Agree With PyTorch    ${KWS}

Exercises Are Recognised As In PyTorch
    Load Firmware    ${HAR}
    Labels Should Agree With PyTorch    ${HAR}

The Stack Fits
    [Documentation]    The firmware uses the stack, but not all of it.
    Load Firmware    ${KWS}
    Run Until Yield    ${KWS}
    Infer    ${KWS}    ${KWS}[inputs][0]
    ${touched}=    Touched Stack    ${KWS}
    Should Be True    0 < ${touched} < ${KWS}[stack_bytes]

Text Goes Through The UART
    Load Firmware    ${HELLO}
    Run Until Halted
    No Access Should Have Been Unexpected
    ${printed}=    Get File    ${PRINTED}
    Should Be Equal    ${printed}    Hello from ${BOARD}!\n

*** Keywords ***
Start Board
    Reset Emulation
    Remove File    ${PRINTED}
    Create Board
