// The types of Renode that emu's C# uses, and a program that plays a trace of blocks to emu's hook.
//
// A line of the trace is a call and its arguments. The program prints what the hook gives for each "seen".
using System;
using System.Collections.Generic;
using System.IO;

namespace Antmicro.Renode.Peripherals.CPU
{
    public delegate void CpuAddressHook(TranslationCPU cpu, ulong address);

    public struct RegisterValue
    {
        public ulong RawValue;
    }

    public class TranslationCPU
    {
        public bool IsHalted { get; set; }

        public void SetHookAtBlockBegin(Action<ulong, uint> hook)
        {
            Block = hook;
        }

        public void AddHook(ulong address, CpuAddressHook hook)
        {
            Addresses[address] = hook;
        }

        public RegisterValue GetRegister(int number)
        {
            return new RegisterValue { RawValue = Registers[number] };
        }

        public Action<ulong, uint> Block;
        public Dictionary<ulong, CpuAddressHook> Addresses = new Dictionary<ulong, CpuAddressHook>();
        public Dictionary<int, ulong> Registers = new Dictionary<int, ulong>();
    }
}

namespace Emu
{
    using Antmicro.Renode.Peripherals.CPU;

    public static class Player
    {
        public static void Main(string[] arguments)
        {
            var cpu = new TranslationCPU();
            cpu.BeginStackWatch(13, 13, 0);
            cpu.LoadStackCode(arguments[1]);
            foreach(var line in File.ReadLines(arguments[0]))
            {
                var words = line.Split(' ');
                Func<int, uint> word = index => Convert.ToUInt32(words[index], 16);
                switch(words[0])
                {
                case "stack":
                    cpu.WatchStack(word(1), word(2), word(3));
                    break;
                case "block":
                    cpu.IsHalted = false;
                    cpu.Registers[13] = word(3);
                    var size = uint.Parse(words[2]);
                    if(size == 0)
                    {
                        cpu.Addresses[word(1)](cpu, word(1));
                    }
                    else
                    {
                        cpu.Block(word(1), size);
                    }
                    break;
                case "seen":
                    Console.WriteLine("seen 0x{0:x}", cpu.StackSeen());
                    break;
                }
            }
            Console.WriteLine("unknown 0x{0:x}", cpu.UnknownStackCode());
        }
    }
}
